"""The model's forward passes: prefill with shared prefixes, one step of decoding, likelihood of options.

The functions work on token ids and tensors and are independent of items and verticals.
"""

import copy
import inspect
from collections.abc import Callable, Sequence
from functools import cache as cached
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel

from trustdag.generation.decode import State, Step, pad_left
from trustdag.models.cache import growing_cache, grows, joined
from trustdag.models.logprobs import rows_at_once, vocabulary_of

LOGIT_BYTES = 256 << 20
"""Largest number of bytes of fp32 logits at a time for options: 1,365 tokens with a vocabulary of 49,152."""
SHARED_PREFIX = 8
"""A common prefix of the prompts is computed once if it has at least this many tokens."""


@torch.inference_mode()
def prefill(
    model: PreTrainedModel, prompts: Sequence[tuple[int, ...]], capacity: int, read_tokens: int | None = None
) -> State:
    """Reads the prompts. Their common prefix is computed once.

    Prompts are padded on the right while they are read, so that causal attention needs no mask. Afterwards the padding
    is on the left.

    Args:
        model: The model.
        prompts: The ids of each row; none is empty.
        capacity: Positions of the cache: the longest prompt and the longest continuation.
        read_tokens: Largest number of tokens, padding included, in one forward pass (at least one prompt). None: all
            prompts in one pass.
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
    for part in split_prompts(prompts, read_tokens):
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
    """Reads all prompts at once, for models with a sliding window or a recurrent state: padding would change them."""
    ids, mask, positions, lengths = pad_left(prompts, 0, model.device)
    cache = growing_cache(model.config, capacity)
    return State(cache, mask.long(), lengths, _forward(model, ids, mask.long(), positions, cache, 1)[:, -1])


def split_prompts(prompts: Sequence[tuple[int, ...]], read_tokens: int | None) -> list[Sequence[tuple[int, ...]]]:
    """Splits the prompts, in order, into the fewest parts of at most `read_tokens` tokens each, padding included."""
    if read_tokens is None:
        return [prompts]
    ends, first, longest = [], 0, 0
    for index, prompt in enumerate(prompts):
        longest = max(longest, len(prompt))
        if index > first and (index + 1 - first) * longest > read_tokens:
            ends.append(index)
            first, longest = index, len(prompt)
    return [prompts[a:b] for a, b in pairwise([0, *ends, len(prompts)])]


def _shared_prefix(prompts: Sequence[tuple[int, ...]]) -> int:
    """Length of the common prefix in tokens; each prompt keeps at least one token. 0 if it is too short to share."""
    first, last = min(prompts), max(prompts)
    longest = min(len(prompt) for prompt in prompts) - 1
    same = next((index for index in range(longest) if first[index] != last[index]), longest)
    return same if same >= SHARED_PREFIX and len(prompts) > 1 else 0


def _forward(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor | None,
    positions: torch.Tensor,
    past: DynamicCache,
    keep: int | torch.Tensor,
) -> torch.Tensor:
    """Logits of the last `keep` positions, or, flattened, of the positions in a boolean mask (rows, new).

    They are in the model's precision, and at least in float32.
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
    """Names of the parameters of a forward pass; some architectures have none for positions."""
    return frozenset(inspect.signature(forward).parameters)


def step_of(model: PreTrainedModel) -> Step:
    """The model's forward pass as a `Step` without values."""

    @torch.inference_mode()
    def step(
        tokens: torch.Tensor, mask: torch.Tensor | None, positions: torch.Tensor, cache: DynamicCache, /
    ) -> tuple[torch.Tensor, None]:
        return _forward(model, tokens, mask, positions, cache, 1)[:, -1], None

    return step


@torch.inference_mode()
def option_logprobs(
    model: PreTrainedModel, state: State, options: Sequence[Sequence[Sequence[int]]]
) -> list[list[float]]:
    """The log-probability of each option as a continuation of its prompt. Each prompt is read once.

    Args:
        model: The model.
        state: The state after the prompts; it is not changed.
        options: For each row of the state, the ids of its options.

    Returns:
        For each row, the log-probability of each of its options: a sum over its tokens, natural logarithm.
    """
    device = model.device
    owner_rows = [row for row, of_row in enumerate(options) for _ in of_row]
    flat = [list(option) for of_row in options for option in of_row]
    first = torch.tensor([option[0] for option in flat], device=device)
    owners = torch.tensor(owner_rows, device=device)
    totals = torch.log_softmax(state.logits, -1)[owners, first].double()
    longer = [row for row, option in enumerate(flat) if len(option) > 1]
    if longer:
        rests = [tuple(flat[row][1:]) for row in longer]
        done = 0
        for part in split_prompts(rests, rows_at_once(vocabulary_of(model), LOGIT_BYTES)):
            rows = longer[done : done + len(part)]
            done += len(part)
            rest = _rest_logprobs(model, state.copy(), owners[rows], [flat[row] for row in rows])
            totals[torch.tensor(rows, device=device)] += rest
    values = totals.tolist()
    ends = np.cumsum([len(of_row) for of_row in options])
    return [values[end - len(of_row) : end] for of_row, end in zip(options, ends, strict=True)]


def _rest_logprobs(
    model: PreTrainedModel, state: State, owners: torch.Tensor, options: list[list[int]]
) -> torch.Tensor:
    """The summed log-probability (rows,) of each option's tokens from the second on, after its prompt."""
    state = state.select(owners)
    assert state.mask is not None, "prefill makes one"
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
