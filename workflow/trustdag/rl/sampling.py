"""Sampling of a policy's replies for PPO, with values. Tokens are drawn by inverting the cumulative distribution."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trustdag.generation.decode import Choose, Decoded, DecodingRules, State, Step, TokenChoice, decode, pad_left

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

SHRINK_AT = 0.75
"""Rows with an ended reply leave the batch when at most this share of its rows is still decoded."""


@dataclass(frozen=True)
class SampledReplies:
    """A policy's replies to R prompts, padded on the right to T = the longest reply."""

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


def draw_tokens(logits: Tensor, uniforms: Tensor, known: int | None = None) -> tuple[Tensor, Tensor]:
    """Draws a token for each row by inverting its cumulative distribution at `uniforms`.

    The draw of a row depends only on its own uniform. So replies do not depend on how rows are batched, sorted or
    distributed over processes.

    Args:
        logits: (b, V).
        uniforms: (b,), in [0, 1).
        known: Number of tokens that may be drawn; further logits are padding. None: all.

    Returns:
        The tokens (b,) and their log-probabilities (b,) under the whole distribution.
    """
    logprobs = logits.log_softmax(-1)
    cumulative = logprobs[:, :known].double().exp().cumsum(-1)
    # right=True skips tokens of probability 0; scaling by the total keeps rounding from passing the last index.
    targets = uniforms.double()[:, None] * cumulative[:, -1:]
    tokens = torch.searchsorted(cumulative, targets, right=True).clamp_(max=cumulative.shape[-1] - 1)
    return tokens[:, 0], logprobs.gather(-1, tokens)[:, 0]


def sample_replies(
    step: Step,
    config: "PreTrainedConfig",
    prompts: Sequence[Sequence[int]],
    uniforms: Tensor,
    rules: DecodingRules,
    batch_size: int | None = None,
    known: int | None = None,
) -> SampledReplies:
    """Samples one reply to each prompt.

    Prompts are taken in order of length, so that a batch is padded only to its own longest prompt.

    Args:
        step: The policy's forward pass, which also returns values: `ActorCritic.step`.
        config: The policy's configuration.
        prompts: The ids of R prompts; none is empty.
        uniforms: (R, max_new_tokens) numbers in [0, 1): all the randomness of the replies.
        rules: When a reply ends.
        batch_size: Replies that are decoded at a time. None: all.
        known: Tokens of the tokenizer, as for `draw_tokens`.

    Returns:
        The replies, in the order of the prompts.
    """
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    size = batch_size or len(order)
    parts = []
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        choose = _chooser(uniforms[rows], known)
        parts.append(_sample_batch(step, config, [prompts[row] for row in rows], choose, rules, uniforms.device))
    back = torch.tensor(order, device=uniforms.device).argsort()
    longest = max(int(part.lengths.max()) for part in parts)
    return SampledReplies(
        tokens=torch.cat([part.tokens[:, :longest] for part in parts])[back],
        lengths=torch.cat([part.lengths for part in parts])[back],
        ended=torch.cat([part.ended for part in parts])[back],
        logprobs=torch.cat([part.logprobs[:, :longest] for part in parts])[back],
        values=torch.cat([part.extra[:, :longest] for part in parts])[back],
    )


@torch.no_grad()  # and not inference_mode, because backward passes use the result
def _sample_batch(
    step: Step,
    config: "PreTrainedConfig",
    prompts: list[Sequence[int]],
    choose: Choose,
    rules: DecodingRules,
    device: torch.device,
) -> Decoded:
    """Replies to one batch of prompts; `extra` holds the values."""
    from trustdag.models.cache import growing_cache

    tokens, mask, positions, lengths = pad_left(prompts, rules.pad_token, device)
    needed = None if bool(mask.all()) else mask  # attention is faster without a mask
    cache = growing_cache(config, tokens.shape[1] + rules.max_new_tokens)
    logits, values = step(tokens, needed, positions, cache)
    return decode(step, State(cache, needed, lengths, logits, values), choose, rules)


def _chooser(uniforms: Tensor, known: int | None) -> Choose:
    """Chooses tokens with `uniforms` (rows, max_new_tokens) and keeps the values."""

    def choose(state: State, rows: Tensor, step: int) -> TokenChoice:
        assert state.values is not None, "the policy's step returns values"
        return TokenChoice(*draw_tokens(state.logits, uniforms[rows, step], known), state.values)

    return choose
