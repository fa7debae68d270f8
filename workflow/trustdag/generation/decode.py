"""The engine's forward passes: prefill with shared prefixes, decoding step by step, likelihood of options.

Rows that are continued are padded on the left and carry explicit positions, so padding changes no row's reply. Every
function here works on token ids and tensors alone; it knows no items and no verticals.
"""

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache as cached
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel

from trustdag.generation.sampling import Choice
from trustdag.models.cache import growing_cache, grows, joined

Choose = Callable[[torch.Tensor, torch.Tensor, int], Choice]
"""Chooses from logits (rows, vocabulary): of which rows of the batch (rows,), and at which step from 0."""

SHARED_PREFIX = 8
"""Prompts that start with at least this many common tokens have them computed once."""
CHECK_EVERY = 8
"""Steps between two looks for stop texts and for rows that can be let go."""


@dataclass
class State:
    """Rows in the middle of a text: what the model has read, and what it says comes next."""

    cache: DynamicCache
    mask: torch.Tensor
    """(rows, read so far), 1 where a token is real."""
    positions: torch.Tensor
    """(rows,), the position of the next token."""
    logits: torch.Tensor
    """(rows, vocabulary), of the next token."""

    def select(self, rows: torch.Tensor) -> "State":
        """The given rows, in that order, each as often as it is named."""
        self.cache.batch_select_indices(rows)
        return State(self.cache, self.mask[rows], self.positions[rows], self.logits[rows])

    def copy(self) -> "State":
        """The same rows, whose cache goes on by itself."""
        return State(copy.deepcopy(self.cache), self.mask, self.positions, self.logits)


@torch.inference_mode()
def prefill(
    model: PreTrainedModel, prompts: Sequence[tuple[int, ...]], capacity: int, read_tokens: int | None = None
) -> State:
    """Reads the prompts (one row each; none empty). What all of them start with is computed once.

    Where `read_tokens` is given, one forward pass reads at most so many (or one prompt). Padding stands on the right
    while prompts are read, so that causal attention needs no mask, and on the left from then on.
    """
    lengths = [len(prompt) for prompt in prompts]
    shared = _shared_prefix(prompts)
    start = growing_cache(model.config, max(lengths))
    if not grows(start):
        return _prefill_padded_left(model, prompts, capacity)
    if shared:
        ids = torch.tensor([list(prompts[0][:shared])], device=model.device)
        _forward(model, ids, torch.ones_like(ids), torch.arange(shared, device=model.device)[None], start, 1)
    caches, logits, cuts = [], [], []
    for part in _parts(prompts, read_tokens):
        caches.append(copy.deepcopy(start))
        cuts.append([len(prompt) for prompt in part])
        logits.append(_read(model, part, shared, caches[-1]))
    cache = joined(caches, cuts, model.config, capacity)
    positions = torch.tensor(lengths, device=model.device)
    mask = torch.arange(max(lengths), 0, -1, device=model.device)[None] <= positions[:, None]
    return State(cache, mask.long(), positions, torch.cat(logits))


def _read(model: PreTrainedModel, prompts: Sequence[tuple[int, ...]], shared: int, cache: DynamicCache) -> torch.Tensor:
    """The logits (rows, vocabulary) after each prompt; the cache holds their first `shared` tokens, in one row."""
    if shared:
        cache.batch_select_indices(torch.zeros(len(prompts), dtype=torch.long, device=model.device))
    rests = [list(prompt[shared:]) for prompt in prompts]
    width = max(len(rest) for rest in rests)
    ids = torch.tensor([rest + [0] * (width - len(rest)) for rest in rests], device=model.device)
    new = torch.arange(width, device=model.device)
    last = new == torch.tensor([[len(rest) - 1] for rest in rests], device=model.device)
    seen = torch.ones(len(prompts), shared + width, dtype=torch.long, device=model.device)
    return _forward(model, ids, seen, (shared + new).expand(len(prompts), width), cache, last)


def _prefill_padded_left(model: PreTrainedModel, prompts: Sequence[tuple[int, ...]], capacity: int) -> State:
    """Reads all prompts at once. A sliding window or a recurrent state must meet no padding after the text."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=model.device)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
    mask = (torch.arange(width, 0, -1, device=model.device)[None] <= lengths[:, None]).long()
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = growing_cache(model.config, capacity)
    return State(cache, mask, lengths, _forward(model, ids, mask, positions, cache, 1)[:, -1])


def _parts(prompts: Sequence[tuple[int, ...]], read_tokens: int | None) -> list[Sequence[tuple[int, ...]]]:
    """The prompts in order, in as few parts as hold at most so many tokens each, padding included."""
    if read_tokens is None:
        return [prompts]
    ends, first, longest = [], 0, 0
    for at, prompt in enumerate(prompts):
        longest = max(longest, len(prompt))
        if at > first and (at + 1 - first) * longest > read_tokens:
            ends.append(at)
            first, longest = at, len(prompt)
    return [prompts[a:b] for a, b in pairwise([0, *ends, len(prompts)])]


def _shared_prefix(prompts: Sequence[tuple[int, ...]]) -> int:
    """How many tokens all prompts start with, leaving each at least one of its own; 0 where sharing would not pay."""
    first, last = min(prompts), max(prompts)
    longest = min(len(prompt) for prompt in prompts) - 1
    same = next((at for at in range(longest) if first[at] != last[at]), longest)
    return same if same >= SHARED_PREFIX and len(prompts) > 1 else 0


def _forward(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor,
    positions: torch.Tensor,
    past: DynamicCache,
    keep: int | torch.Tensor,
) -> torch.Tensor:
    """Logits of the last `keep` positions, or of those that a boolean mask (rows, new) marks, flattened.

    In the model's precision, but never less than float32.
    """
    takes = _parameters(type(model).forward)
    extra: dict[str, Any] = {"position_ids": positions} if "position_ids" in takes else {}
    if "logits_to_keep" in takes:
        extra["logits_to_keep"] = keep
    logits = model(input_ids=ids, attention_mask=mask, past_key_values=past, use_cache=True, **extra).logits
    if "logits_to_keep" not in takes:
        logits = logits[keep] if isinstance(keep, torch.Tensor) else logits[:, -keep:]
    return logits if logits.dtype == torch.float64 else logits.float()


@cached
def _parameters(forward: Callable[..., Any]) -> frozenset[str]:
    """What this forward pass takes: not every architecture takes positions."""
    return frozenset(inspect.signature(forward).parameters)


@torch.inference_mode()
def step(model: PreTrainedModel, state: State, tokens: torch.Tensor) -> State:
    """Reads one more token in each row; `tokens` has shape (rows,)."""
    mask = torch.cat([state.mask, state.mask.new_ones(len(tokens), 1)], dim=1)
    logits = _forward(model, tokens[:, None], mask, state.positions[:, None], state.cache, 1)[:, -1]
    return State(state.cache, mask, state.positions + 1, logits)


@dataclass(frozen=True)
class Decoded:
    """One row's new tokens, without the end of text, and the log-probability of each."""

    tokens: list[int]
    logprobs: list[float]
    ended: bool
    margin: float
    """The smallest of its tokens' margins (`sampling.Choice`)."""


@torch.inference_mode()
def decode(
    model: PreTrainedModel,
    state: State,
    length: int,
    choose: Choose,
    ends: Sequence[int],
    stopped: Callable[[list[int]], bool] | None = None,
) -> list[Decoded]:
    """Continues each row until one of the tokens `ends`, until `stopped(tokens so far)`, or for `length` tokens.

    Log-probabilities are the model's own, at temperature 1. `stopped` is asked every few steps and may be late; the
    caller cuts. Rows that have ended leave the batch once they are half of it.
    """
    rows = len(state.logits)
    tokens = torch.zeros(rows, length, dtype=torch.long, device=model.device)
    logprobs = torch.zeros(rows, length, dtype=state.logits.dtype, device=model.device)
    counts = torch.full((rows,), length, device=model.device)
    ended = torch.zeros(rows, dtype=torch.bool, device=model.device)
    margins = torch.full((rows,), float("inf"), dtype=state.logits.dtype, device=model.device)
    here = torch.arange(rows, device=model.device)
    end_tokens = torch.tensor(ends, dtype=torch.long, device=model.device)
    for at in range(length):
        chosen, lead = choose(state.logits, here, at)
        tokens[here, at] = chosen
        margins[here] = torch.where(ended[here], margins[here], torch.minimum(margins[here], lead))
        logprobs[here, at] = state.logits.gather(1, chosen[:, None])[:, 0] - state.logits.logsumexp(-1)
        new = torch.isin(chosen, end_tokens) & ~ended[here]
        counts[here[new]] = at
        ended[here[new]] = True
        if stopped and at % CHECK_EVERY == CHECK_EVERY - 1:
            for row in here[~ended[here]].tolist():
                if stopped(tokens[row, : at + 1].tolist()):
                    counts[row], ended[row] = at + 1, True
        alive = ~ended[here]
        left = int(alive.sum())
        if left == 0 or at == length - 1:
            break
        if 2 * left <= len(here):
            kept = alive.nonzero()[:, 0]
            state, chosen, here = state.select(kept), chosen[kept], here[kept]
        state = step(model, state, chosen)
    return [
        Decoded(row[:count], values[:count], done, margin)
        for row, values, count, done, margin in zip(
            tokens.tolist(), logprobs.tolist(), counts.tolist(), ended.tolist(), margins.tolist(), strict=True
        )
    ]


@torch.inference_mode()
def option_logprobs(
    model: PreTrainedModel, state: State, options: Sequence[Sequence[Sequence[int]]]
) -> list[list[float]]:
    """Per row of the state, and option of that row, the log-probability of its tokens next (natural log, summed).

    A prompt is read once, however many options it has. The state stays as it is.
    """
    device = model.device
    owner = [row for row, several in enumerate(options) for _ in several]
    flat = [list(option) for several in options for option in several]
    first = torch.tensor([option[0] for option in flat], device=device)
    here = torch.tensor(owner, device=device)
    totals = torch.log_softmax(state.logits, -1)[here, first].double()
    longer = [row for row, option in enumerate(flat) if len(option) > 1]
    if longer:
        rest = _rest_logprobs(model, state.copy(), here[longer], [flat[row] for row in longer])
        totals[torch.tensor(longer, device=device)] += rest
    values = totals.tolist()
    ends = np.cumsum([len(several) for several in options])
    return [values[end - len(several) : end] for several, end in zip(options, ends, strict=True)]


def _rest_logprobs(model: PreTrainedModel, state: State, owner: torch.Tensor, options: list[list[int]]) -> torch.Tensor:
    """The summed log-probability (rows,) of each option's tokens from the second on, after its owner's prompt."""
    state = state.select(owner)
    width = max(len(option) for option in options) - 1
    ids = torch.tensor([option[:-1] + [0] * (width + 1 - len(option)) for option in options], device=model.device)
    targets = torch.tensor([token for option in options for token in option[1:]], device=model.device)
    lengths = torch.tensor([len(option) - 1 for option in options], device=model.device)
    steps = torch.arange(width, device=model.device)
    real = steps[None] < lengths[:, None]
    mask = torch.cat([state.mask, real.long()], dim=1)
    logits = _forward(model, ids, mask, state.positions[:, None] + steps[None], state.cache, real)
    values = logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(-1)
    rows = torch.arange(len(options), device=model.device).repeat_interleave(lengths)
    return torch.zeros(len(options), dtype=torch.float64, device=model.device).index_add_(0, rows, values.double())
