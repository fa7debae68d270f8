"""The output layer of a language model, computed in chunks, so that no stage needs the logits of a whole batch.

The logits of 4,096 tokens with a vocabulary of 49,152 are 805 MB in fp32, and a loss needs several tensors of that
size. Here the trunk's states are processed in chunks: the values that are needed (a log-probability, an entropy) are
computed from a chunk's logits at once, and the backward pass computes each chunk's logits again. If all logits fit in
one chunk, nothing is computed twice. Imports torch and transformers: import it inside functions only.
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
"""Largest number of bytes of fp32 logits at a time: 170 tokens with a vocabulary of 49,152."""
MULTIPLIERS = ("logit_scale", "output_multiplier", "lm_head_multiplier")
"""Names of a factor on the logits in configurations: Cohere, Falcon-H1."""
DIVISORS = ("logits_scaling",)
"""Names of a divisor of the logits: Granite."""
CAPS = ("final_logit_softcapping",)
"""Names of the bound of a soft cap, cap tanh(logits / cap): Gemma 2."""
PROBE = 100.0
"""Largest logit of the probe, which every soft cap changes."""


@dataclass(frozen=True)
class OutputLayer:
    """The computation of a model's logits from its trunk's last states h: the output layer W, a factor, a soft cap.

    z = factor W h / divisor, then cap tanh(z / cap) if there is a cap. `fits` detects an architecture with another
    computation.
    """

    factor: float = 1.0
    divisor: float = 1.0
    cap: float | None = None

    @classmethod
    def of(cls, config: PreTrainedConfig) -> "OutputLayer":
        """The output layer according to the model's configuration."""
        text = config.get_text_config()

        def value(names: tuple[str, ...]) -> float | None:
            given = (getattr(text, name, None) for name in names)
            return next((float(number) for number in given if number is not None), None)

        factor, divisor = value(MULTIPLIERS), value(DIVISORS)
        return cls(1.0 if factor is None else factor, 1.0 if divisor is None else divisor, value(CAPS))

    def transform(self, logits: Tensor) -> Tensor:
        """The logits from the output layer's product, (..., V) -> (..., V)."""
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

        The model reads four tokens. A hook on the output layer checks that its input is the trunk's last states, and
        replaces its product by large numbers. The model's logits must equal `transform` of these numbers.
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
    """While active, the model is without dropout."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


Reader = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""Computes tensors (n,) from logits (n, V) and the next tokens (n,)."""


def read_logits(
    logits_of: Callable[[Tensor], Tensor],
    vocabulary: int,
    states: Tensor,
    tokens: Tensor,
    read: Reader,
    chunk_bytes: int = CHUNK_BYTES,
) -> tuple[Tensor, ...]:
    """Applies a function to the logits of all states, a chunk at a time, with gradients.

    Args:
        logits_of: Logits (n, V) from states (n, H).
        vocabulary: V.
        states: (N, H).
        tokens: (N,) the next tokens.
        read: The function.
        chunk_bytes: Largest number of bytes of logits at a time. Changes results only by rounding.

    Returns:
        The results of `read`, (N,) each.
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
    """Number of rows of fp32 logits in a chunk; at least one."""
    return max(1, chunk_bytes // (4 * vocabulary))


def vocabulary_of(model: PreTrainedModel) -> int:
    """Number of columns of a model's logits."""
    return int(model.get_output_embeddings().weight.shape[0])


def log_probability(logits: Tensor, tokens: Tensor) -> tuple[Tensor]:
    """The log-probability of each token, in fp32: (n, V) and (n,) -> (n,).

    Returns:
        Log-probabilities, (n,), in a tuple of one, as `read_logits` needs it.
    """
    return (logits.float().log_softmax(-1).gather(-1, tokens[:, None])[:, 0],)
