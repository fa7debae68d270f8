"""Policy and value model as one module, and the preparation of models before training."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from trustdag.errors import UserError
from trustdag.models.logprobs import OutputLayer, read_logits, vocabulary_of
from trustdag.rl.adapters import set_fsdp_layers
from trustdag.rl.losses import entropy_of, log_softmax, of_tokens, scale
from trustdag.train.lora import base_of

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedModel

ValueKind = Literal["head", "policy_copy", "reward_copy"]


class Sequences(NamedTuple):
    """Prompts with their replies, padded on the right: no real token attends to padding, so no mask is needed."""

    tokens: Tensor
    """(B, W) ids: each row is its prompt, its reply, then padding."""
    prompt_lengths: Tensor
    """(B,)"""
    mask: Tensor
    """(B, T) bool: whether the reply has a token there."""

    def reply_positions(self) -> tuple[Tensor, Tensor]:
        """Row and column in `tokens` of each reply token, row by row; both (N,) with N = mask.sum()."""
        rows, steps = self.mask.nonzero(as_tuple=True)
        return rows, self.prompt_lengths[rows] + steps


class Evaluation(NamedTuple):
    """Policy and value model at the N reply tokens of some sequences; each (N,), in the mask's order."""

    logprobs: Tensor
    entropy: Tensor
    values: Tensor


class ActorCritic(nn.Module):
    """The policy and the value model. All calls go through `forward`, where DDP, FSDP and DeepSpeed have their hooks.

    `critic` is the value model's own trunk, or None if the value head reads the policy's hidden states. Without
    `learn_entropy` the entropy is only logged and has no gradient.

    `value_offset` is added to every value. It is not a parameter, so that it can be set while FSDP or DeepSpeed manage
    the parameters.
    """

    def __init__(
        self,
        policy: "PreTrainedModel",
        critic: nn.Module | None,
        value_head: nn.Module,
        temperature: float,
        learn_entropy: bool = True,
    ) -> None:
        super().__init__()
        self.policy = policy
        self.critic = critic
        self.value_head = value_head
        self.temperature = temperature
        self.learn_entropy = learn_entropy
        self.value_offset = 0.0
        set_fsdp_layers(self, base_of(policy))

    def forward(self, task: Literal["evaluate", "values", "step"], *inputs: object) -> Any:
        """Runs the method that is named by `task`."""
        return getattr(self, task)(*inputs)

    def evaluate(self, sequences: Sequences) -> Evaluation:
        """Log-probability, entropy and value at every reply token; logits exist at reply positions only: (N, V)."""
        rows, columns = sequences.reply_positions()
        hidden = self._trunk()(input_ids=sequences.tokens, use_cache=False).last_hidden_state
        states = hidden[rows, columns - 1]  # the state from which the token was chosen
        policy, tokens = base_of(self.policy), sequences.tokens[rows, columns]
        logprobs, entropy = read_logits(self._unembed, vocabulary_of(policy), states, tokens, self._read)
        values = self._value(states) if self.critic is None else self.values(sequences)
        return Evaluation(logprobs, entropy, values)

    def values(self, sequences: Sequences) -> Tensor:
        """The value at every reply token (N,), for a value model with its own trunk."""
        rows, columns = sequences.reply_positions()
        assert self.critic is not None
        hidden = self.critic(input_ids=sequences.tokens, use_cache=False).last_hidden_state
        return self._value(hidden[rows, columns - 1])

    def step(
        self, tokens: Tensor, attention_mask: Tensor | None, positions: Tensor, cache: "Cache"
    ) -> tuple[Tensor, Tensor]:
        """One step of generation, a `trustdag.generation.decode.Step`.

        Args:
            tokens: (b, n) ids, the next of each row.
            attention_mask: (b, read so far and n), nonzero where a token is real; None where all are.
            positions: (b, n), each token's position in its row.
            cache: Keys and values of the tokens before.

        Returns:
            logits / temperature (b, V) after the last token, and the value head's value there (b,): NaN where the value
            model has its own trunk.
        """
        output = self._trunk()(
            input_ids=tokens,
            attention_mask=attention_mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )
        state = output.last_hidden_state[:, -1]
        logits = scale(self._unembed(state), self.temperature)
        return logits, self._value(state) if self.critic is None else logits.new_full(state.shape[:1], torch.nan)

    def _trunk(self) -> nn.Module:
        return base_of(self.policy).base_model

    def _unembed(self, states: Tensor) -> Tensor:
        policy = base_of(self.policy)
        return OutputLayer.of(policy.config).logits(policy, states)

    def _read(self, logits: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The log-probability of each token and the entropy, (n,) each, of logits (n, V)."""
        logprobs = log_softmax(logits, self.temperature)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.learn_entropy):  # a gradient keeps (n, V) twice
            entropy = entropy_of(logprobs)
        return of_tokens(logprobs, tokens), entropy

    def _value(self, states: Tensor) -> Tensor:
        states = states.to(next(self.value_head.parameters()).dtype)  # bf16 under DeepSpeed, which has no autocast
        return self.value_head(states)[:, 0].float() + self.value_offset


# --- Preparing ---


def build_value(
    kind: ValueKind, policy: "PreTrainedModel", reward_model: "PreTrainedModel | None"
) -> tuple[nn.Module | None, nn.Module]:
    """Builds the value model. A new head is zero, so the first values are all 0.

    Args:
        kind: `head` on the policy's trunk, or a copy of the policy or of the reward model.
        policy: The policy.
        reward_model: The reward model; None if the reward is a function.

    Returns:
        The value model's trunk (None: the policy's own) and its head.

    Raises:
        UserError: `reward_copy` without a reward model to copy.
    """
    if kind == "reward_copy":
        if reward_model is None:
            raise UserError(
                "value: reward_copy needs a reward model, and the reward is a function; take head or policy_copy"
            )
        model = copy.deepcopy(reward_model).requires_grad_(True)
        return model.base_model, model.score
    head = nn.Linear(base_of(policy).config.get_text_config().hidden_size, 1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    head = head.to(policy.device)
    return (copy.deepcopy(base_of(policy).base_model) if kind == "policy_copy" else None), head


def copy_reference(policy: "PreTrainedModel") -> "PreTrainedModel":
    """A frozen copy of the policy. It shares the weights that are not trained with the policy."""
    shared = {id(parameter): parameter for parameter in policy.parameters() if not parameter.requires_grad}
    return copy.deepcopy(policy, shared).requires_grad_(False).eval()


def train_top_layers(policy: "PreTrainedModel", count: int) -> None:
    """Freezes the input embeddings and all but the last `count` layers (trlx's `num_layers_unfrozen`).

    Raises UserError if the policy has fewer layers.
    """
    layers = transformer_layers(policy)
    if count > len(layers):
        raise UserError(f"top_layers: {count} layers cannot train, the policy has {len(layers)}; lower top_layers")
    policy.get_input_embeddings().requires_grad_(False)
    for layer in layers[: len(layers) - count]:
        layer.requires_grad_(False)


def transformer_layers(policy: "PreTrainedModel") -> nn.ModuleList:
    """The policy's list of layers: the only nn.ModuleList with as many modules as the configuration has layers."""
    count = policy.config.get_text_config().num_hidden_layers
    lists = [module for module in policy.modules() if isinstance(module, nn.ModuleList) and len(module) == count]
    if len(lists) != 1:
        raise UserError(f"top_layers: cannot tell the layers of {type(policy).__name__}; leave top_layers empty")
    return lists[0]


@contextmanager
def adapter_off(policy: "PreTrainedModel") -> Iterator["PreTrainedModel"]:
    """While active, the policy without its LoRA adapter."""
    with policy.disable_adapter():
        yield policy


def reference_logprobs(reference: "PreTrainedModel", sequences: Sequences, temperature: float) -> Tensor:
    """The reference's log-probability of every reply token.

    Args:
        reference: The frozen copy, or the policy with its adapter off.
        sequences: Prompts and replies.
        temperature: Divides the logits, as for the policy.

    Returns:
        (N,), in the mask's order.
    """
    rows, columns = sequences.reply_positions()
    base = base_of(reference)
    hidden = base.base_model(input_ids=sequences.tokens, use_cache=False).last_hidden_state
    states, tokens = hidden[rows, columns - 1], sequences.tokens[rows, columns]

    def read(logits: Tensor, tokens: Tensor) -> tuple[Tensor]:
        return (of_tokens(log_softmax(logits, temperature), tokens),)

    logits_of = partial(OutputLayer.of(base.config).logits, base)
    return read_logits(logits_of, vocabulary_of(base), states, tokens, read)[0]
