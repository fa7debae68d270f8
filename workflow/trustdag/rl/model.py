"""Policy and value model as one module, and what is done to models before training."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from trustdag.errors import UserError
from trustdag.rl.losses import entropy_of, log_softmax, of_tokens, scale
from trustdag.train.lora import base_of

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedModel

ValueKind = Literal["head", "policy_copy", "reward_copy"]


class Sequences(NamedTuple):
    """Prompts with their replies, padded on the right: no real token ever attends to padding, so no mask is needed."""

    tokens: Tensor
    """(B, W) ids: each row is its prompt, its reply, then padding."""
    prompt_lengths: Tensor
    """(B,)"""
    mask: Tensor
    """(B, T) bool: which reply tokens exist."""

    def reply_positions(self) -> tuple[Tensor, Tensor]:
        """Row and column in `tokens` of each reply token, row by row; both (N,) with N = mask.sum()."""
        rows, steps = self.mask.nonzero(as_tuple=True)
        return rows, self.prompt_lengths[rows] + steps


class Evaluation(NamedTuple):
    """What policy and value model say about the N reply tokens of some sequences; each (N,), in the mask's order."""

    logprobs: Tensor
    entropy: Tensor
    values: Tensor


class ActorCritic(nn.Module):
    """The policy and the value model. Every use goes through `forward`, where DDP, FSDP and DeepSpeed hook in.

    `critic` is a trunk of its own, or None where the value head reads the policy's hidden states. Without
    `learn_entropy` the entropy is for the log alone and has no gradient.

    `value_offset` is added to every value. It is a number and no parameter, so that it can be set while FSDP or
    DeepSpeed hold the parameters.
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

    @property
    def _no_split_modules(self) -> Any:
        """transformers' name for the layers that FSDP gathers one at a time."""
        return base_of(self.policy)._no_split_modules

    def forward(self, task: Literal["evaluate", "values", "step"], *inputs: object) -> Any:
        """Runs the method that is named by `task`."""
        return getattr(self, task)(*inputs)

    def evaluate(self, sequences: Sequences) -> Evaluation:
        """Log-probability, entropy and value at every reply token; logits exist at reply positions only: (N, V)."""
        rows, columns = sequences.reply_positions()
        hidden = self._trunk()(input_ids=sequences.tokens, use_cache=False).last_hidden_state
        states = hidden[rows, columns - 1]  # the state from which the token was chosen
        logprobs = log_softmax(self._unembed(states), self.temperature)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.learn_entropy):  # else it would keep (N, V) twice
            entropy = entropy_of(logprobs)
        values = self._value(states) if self.critic is None else self.values(sequences)
        return Evaluation(of_tokens(logprobs, sequences.tokens[rows, columns]), entropy, values)

    def values(self, sequences: Sequences) -> Tensor:
        """The value at every reply token (N,), where the value model has a trunk of its own."""
        rows, columns = sequences.reply_positions()
        assert self.critic is not None
        hidden = self.critic(input_ids=sequences.tokens, use_cache=False).last_hidden_state
        return self._value(hidden[rows, columns - 1])

    def step(
        self, tokens: Tensor, attention_mask: Tensor | None, positions: Tensor, cache: "Cache"
    ) -> tuple[Tensor, Tensor]:
        """One step of generation: logits / temperature (b, V) after the last of `tokens` (b, n), and the value head's
        value there (b,): NaN where the value model is not the policy's trunk."""
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
        return base_of(self.policy).get_output_embeddings()(states)

    def _value(self, states: Tensor) -> Tensor:
        states = states.to(next(self.value_head.parameters()).dtype)  # bf16 under DeepSpeed, which has no autocast
        return self.value_head(states)[:, 0].float() + self.value_offset


# --- Preparing ---


def build_value(
    kind: ValueKind, policy: "PreTrainedModel", reward_model: "PreTrainedModel | None"
) -> tuple[nn.Module | None, nn.Module]:
    """The value model's trunk (None: the policy's own) and head. A new head is zero: the first values are all 0.

    Raises UserError for `reward_copy` without a reward model to copy.
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
    """A frozen copy of the policy. Weights that do not train are shared with it, not copied."""
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
    """The policy's list of layers: the one nn.ModuleList whose length the configuration names."""
    count = policy.config.get_text_config().num_hidden_layers
    found = [module for module in policy.modules() if isinstance(module, nn.ModuleList) and len(module) == count]
    if len(found) != 1:
        raise UserError(f"top_layers: cannot tell the layers of {type(policy).__name__}; leave top_layers empty")
    return found[0]


def disable_dropout(model: nn.Module) -> None:
    """Sets every dropout to 0: the ratio pi / pi_old means something only if both are the same network."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in list(vars(module).items()):
            if name.endswith("dropout") and isinstance(value, float):
                setattr(module, name, 0.0)


@contextmanager
def adapter_off(policy: "PreTrainedModel") -> Iterator["PreTrainedModel"]:
    """The policy as it was before LoRA, for as long as the context lasts."""
    with policy.disable_adapter():
        yield policy


def reference_logprobs(reference: "PreTrainedModel", sequences: Sequences, temperature: float) -> Tensor:
    """The reference's log-probability of every reply token, (N,)."""
    rows, columns = sequences.reply_positions()
    base = base_of(reference)
    hidden = base.base_model(input_ids=sequences.tokens, use_cache=False).last_hidden_state
    logits = base.get_output_embeddings()(hidden[rows, columns - 1])
    return of_tokens(log_softmax(logits, temperature), sequences.tokens[rows, columns])
