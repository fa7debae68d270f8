"""Replies from a policy: batches of similar length, a preallocated key-value cache, rows dropped as they end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

DROP_AT = 0.75
"""Rows that have ended are cut out of the batch once no more than this share of it still writes."""


class Step(Protocol):
    """One step of generation, as `ActorCritic.step`."""

    def __call__(
        self, tokens: Tensor, attention_mask: Tensor | None, positions: Tensor, cache: Any, /
    ) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class Replies:
    """What a policy wrote to R prompts, padded on the right to T = the longest reply."""

    tokens: Tensor
    """(R, T) ids, the end-of-text token included."""
    lengths: Tensor
    """(R,) tokens of each reply, its end-of-text token included."""
    ended: Tensor
    """(R,) bool: whether the reply has an end-of-text token."""
    logprobs: Tensor
    """(R, T) log-probability of each token when it was drawn."""
    values: Tensor
    """(R, T) the value head's value before each token."""


@dataclass(frozen=True)
class SamplingRules:
    """How replies are written. `any_process` tells whether a flag is set on any process: ranks of a sharded model
    step together, as each step needs all of them."""

    max_new_tokens: int
    end_tokens: tuple[int, ...]
    pad_token: int
    batch_size: int | None = None
    any_process: Callable[[bool], bool] = bool
    vocabulary: int | None = None
    """Tokens that may be drawn, the first of the model's: beyond the tokenizer's there is padding. None: all."""


def sample(logits: Tensor, uniforms: Tensor, vocabulary: int | None = None) -> tuple[Tensor, Tensor]:
    """Draws a token of each row by inverting its cumulative distribution at `uniforms`; tokens and log-probabilities.

    Args:
        logits: (b, V), of the next token.
        uniforms: (b,), in [0, 1).
        vocabulary: How many of the first tokens may be drawn; None: all.

    Returns:
        Tokens (b,) and their log-probabilities (b,) under the whole distribution. The
        draw of a row depends on its own uniform alone, so replies are the same however rows are batched, sorted or
        spread over processes.
    """
    logprobs = logits.log_softmax(-1)
    cumulative = logprobs[:, :vocabulary].double().exp().cumsum(-1)
    # right=True skips tokens of probability 0; scaling by the total keeps rounding from passing the last index.
    targets = uniforms.double()[:, None] * cumulative[:, -1:]
    tokens = torch.searchsorted(cumulative, targets, right=True).clamp_(max=cumulative.shape[-1] - 1)
    return tokens[:, 0], logprobs.gather(-1, tokens)[:, 0]


def generate(
    advance: Step,
    config: "PreTrainedConfig",
    prompts: Sequence[Sequence[int]],
    uniforms: Tensor,
    rules: SamplingRules,
) -> Replies:
    """One reply to each prompt, in the order of the prompts; `uniforms` (R, max_new_tokens) is all the randomness.

    Prompts are taken in order of length, so that a batch is padded to the longest of its own.
    """
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    size = rules.batch_size or len(prompts)
    parts = []
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        parts.append(_write(advance, config, [prompts[row] for row in rows], uniforms[rows], rules))
    back = torch.tensor(order, device=uniforms.device).argsort()
    longest = max(int(part.lengths.max()) for part in parts)

    def joined(name: str) -> Tensor:
        return torch.cat(
            [getattr(part, name)[:, :longest] if name in _WIDE else getattr(part, name) for part in parts]
        )[back]

    return Replies(*(joined(name) for name in ("tokens", "lengths", "ended", "logprobs", "values")))


_WIDE = ("tokens", "logprobs", "values")


@torch.no_grad()
def _write(
    advance: Step, config: "PreTrainedConfig", prompts: list[Sequence[int]], uniforms: Tensor, rules: SamplingRules
) -> Replies:
    """One batch of replies, as wide as `max_new_tokens`."""
    from trustdag.models.cache import growing_cache

    device, count, limit = uniforms.device, len(prompts), rules.max_new_tokens
    tokens, present = pad_left(prompts, rules.pad_token, limit, device)
    width = tokens.shape[1]
    ragged = not bool(present.all())
    starts = present[:, :width].sum(1)
    cache = growing_cache(config, width + limit)
    positions = (present[:, :width].cumsum(1) - 1).clamp_(min=0)
    out = Replies(
        torch.full((count, limit), rules.pad_token, device=device),
        torch.full((count,), limit, device=device),
        torch.zeros(count, dtype=torch.bool, device=device),
        torch.zeros(count, limit, device=device),
        torch.zeros(count, limit, device=device),
    )
    end_tokens = torch.tensor(rules.end_tokens, device=device)
    rows = torch.arange(count, device=device)  # which replies the batch's rows write
    for step in range(limit):
        logits, values = advance(tokens, present[rows, : width + step] if ragged else None, positions, cache)
        drawn, logprobs = sample(logits, uniforms[rows, step], rules.vocabulary)
        writing = ~out.ended[rows]
        out.tokens[rows, step] = torch.where(writing, drawn, rules.pad_token)
        out.logprobs[rows, step] = torch.where(writing, logprobs.float(), 0.0)
        out.values[rows, step] = torch.where(writing, values, 0.0)
        ends = writing & torch.isin(drawn, end_tokens)
        out.lengths[rows[ends]] = step + 1
        out.ended[rows[ends]] = True
        left = int((~out.ended[rows]).sum())
        if step == limit - 1 or not rules.any_process(left > 0):
            break
        if 0 < left <= DROP_AT * len(rows):
            kept = (~out.ended[rows]).nonzero()[:, 0]
            cache.batch_select_indices(kept)
            rows, drawn = rows[kept], drawn[kept]
        tokens, positions = drawn[:, None], (starts[rows] + step)[:, None]
    return out


def pad_left(prompts: list[Sequence[int]], pad_token: int, room: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Prompts as ids (b, w), padded on the left to the longest, and which positions exist (b, w + room)."""
    width = max(len(prompt) for prompt in prompts)
    tokens = torch.full((len(prompts), width), pad_token)
    present = torch.ones(len(prompts), width + room, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        tokens[row, width - len(prompt) :] = torch.tensor(prompt)
        present[row, : width - len(prompt)] = False
    return tokens.to(device), present.to(device)
