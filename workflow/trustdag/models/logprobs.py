"""The output layer of a language model, read in parts: no stage holds the logits of a whole batch.

The logits of 4,096 tokens over 49,152 words are 805 MB in fp32, and a loss needs several tensors of that size. Here the
trunk's states are taken in chunks; what a chunk's logits are for (a log-probability, an entropy) is read at once, and
the backward pass computes the logits of one chunk at a time again. Where all logits fit in one chunk, nothing is
computed twice. Imports torch and transformers: import it inside functions only.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedConfig, PreTrainedModel

CHUNK_BYTES = 32 << 20
"""Most bytes of logits, in fp32, at a time: 170 tokens over 49,152 words."""
MULTIPLIERS = ("logit_scale", "output_multiplier", "lm_head_multiplier")
"""Names under which configurations hold a factor on the logits: Cohere, Falcon-H1."""
DIVISORS = ("logits_scaling",)
"""Names of what logits are divided by: Granite."""
CAPS = ("final_logit_softcapping",)
"""Names of the bound of a soft cap, cap tanh(logits / cap): Gemma 2."""
PROBE = 100.0
"""Largest logit of the probe: every soft cap bends it."""


@dataclass(frozen=True)
class OutputLayer:
    """How a model's logits follow from its trunk's last states h: the output layer W, a factor, a soft cap.

    z = factor W h / divisor, then cap tanh(z / cap) where there is a cap. An architecture that does anything else is
    found by `fits`.
    """

    factor: float = 1.0
    divisor: float = 1.0
    cap: float | None = None

    @classmethod
    def of(cls, config: PreTrainedConfig) -> "OutputLayer":
        """What the names in a model's configuration say."""
        text = config.get_text_config()

        def value(names: tuple[str, ...]) -> float | None:
            given = (getattr(text, name, None) for name in names)
            return next((float(number) for number in given if number is not None), None)

        factor, divisor = value(MULTIPLIERS), value(DIVISORS)
        return cls(1.0 if factor is None else factor, 1.0 if divisor is None else divisor, value(CAPS))

    def transform(self, logits: Tensor) -> Tensor:
        """What the model does to the output layer's product, (..., V) -> (..., V)."""
        if self.factor != 1:
            logits = logits * self.factor
        if self.divisor != 1:
            logits = logits / self.divisor
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)

    def logits(self, model: PreTrainedModel, states: Tensor) -> Tensor:
        """The model's logits (N, V) from its trunk's last states (N, H)."""
        return self.transform(model.get_output_embeddings()(states))

    @torch.no_grad()
    def fits(self, model: PreTrainedModel) -> bool:
        """Whether the model's own forward pass computes its logits this way.

        It reads four tokens; a hook on the output layer sees what the layer gets, which must be the trunk's last
        states, and puts large numbers in the place of its product, which must come out as `transform` changes them.
        """
        layer = model.get_output_embeddings()
        if layer is None:
            return False
        tokens = torch.arange(4, device=model.device)[None]
        seen: list[Tensor] = []
        probe: list[Tensor] = []

        def replace(_layer: nn.Module, inputs: tuple[Tensor, ...], product: Tensor) -> Tensor:
            seen.append(inputs[0])
            numbers = torch.linspace(-PROBE, PROBE, product.numel(), device=product.device)
            probe.append(numbers.view_as(product).to(product))
            return probe[-1]

        with evaluating(model):
            states = model.base_model(input_ids=tokens).last_hidden_state
            hook = layer.register_forward_hook(replace)
            try:
                logits = model(input_ids=tokens).logits
            finally:
                hook.remove()
        return len(seen) == 1 and _alike(seen[0], states) and _alike(logits.float(), self.transform(probe[0]).float())


def _alike(ours: Tensor, theirs: Tensor) -> bool:
    return ours.shape == theirs.shape and torch.allclose(ours, theirs.to(ours), rtol=1e-2, atol=1e-3)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model without dropout for as long as the context lasts."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


Reader = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""What is read from logits (n, V) and the tokens that follow (n,): tensors (n,)."""


def read_logits(
    logits_of: Callable[[Tensor], Tensor],
    vocabulary: int,
    states: Tensor,
    tokens: Tensor,
    read: Reader,
    chunk_bytes: int = CHUNK_BYTES,
) -> tuple[Tensor, ...]:
    """Reads the logits of all states, a chunk at a time, with their gradients.

    Args:
        logits_of: Logits (n, V) from states (n, H).
        vocabulary: V.
        states: (N, H).
        tokens: (N,) the tokens that follow.
        read: What is wanted of the logits.
        chunk_bytes: Most bytes of logits at a time; changes results by rounding alone.

    Returns:
        What `read` returns, (N,) each.
    """
    parts = -(-len(states) // rows_at_once(vocabulary, chunk_bytes))
    if parts <= 1:
        return read(logits_of(states), tokens)

    def chunk(states: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        return read(logits_of(states), tokens)

    chunks = zip(states.tensor_split(parts), tokens.tensor_split(parts), strict=True)
    if torch.is_grad_enabled():
        options: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": False}
        results = [checkpoint(chunk, *inputs, **options) for inputs in chunks]
    else:
        results = [chunk(*inputs) for inputs in chunks]
    return tuple(torch.cat(column) for column in zip(*results, strict=True))


def rows_at_once(vocabulary: int, chunk_bytes: int = CHUNK_BYTES) -> int:
    """Rows of logits, in fp32, that a chunk holds; at least one."""
    return max(1, chunk_bytes // (4 * vocabulary))


def vocabulary_of(model: PreTrainedModel) -> int:
    """The columns of a model's logits."""
    return int(model.get_output_embeddings().weight.shape[0])


def log_probability(logits: Tensor, tokens: Tensor) -> tuple[Tensor]:
    """The log-probability of each token, in fp32: (n, V) and (n,) -> (n,).

    Returns:
        Log-probabilities, (n,), in a tuple of one, as `read_logits` wants it.
    """
    return (logits.float().log_softmax(-1).gather(-1, tokens[:, None])[:, 0],)
