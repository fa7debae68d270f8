"""Decoding token by token: one loop for evaluation's replies and PPO's rollouts.

The loop knows no model and no sampling method. A `Step` runs the model on new tokens; a `Choose` picks the next token
of each row. Rows are padded on the left and carry explicit positions, so padding changes no row's reply.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import DynamicCache

CHECK_EVERY = 8
"""Steps between two checks for stop texts."""


class Step(Protocol):
    """A forward pass on the next tokens of each row."""

    def __call__(
        self, tokens: Tensor, mask: Tensor | None, positions: Tensor, cache: "DynamicCache", /
    ) -> tuple[Tensor, Tensor | None]:
        """Reads `tokens` (rows, new) at `positions` (rows, new); appends their keys and values to the cache.

        Args:
            tokens: (rows, new) ids.
            mask: (rows, read so far and new), nonzero where a token is real; None where all are.
            positions: (rows, new), each token's position in its row.
            cache: The keys and values of what was read before.

        Returns:
            The logits (rows, vocabulary) after the last token, and the value model's values (rows,) there, or None.
        """
        ...


@dataclass
class State:
    """Rows in the middle of a text: what the model has read, and what it predicts next."""

    cache: "DynamicCache"
    mask: Tensor | None
    """(rows, read so far), nonzero where a token is real; None where all are."""
    positions: Tensor
    """(rows,), the position of the next token."""
    logits: Tensor
    """(rows, vocabulary), of the next token."""
    values: Tensor | None = None
    """(rows,), the value before the next token, where the step returns values."""

    def select(self, rows: Tensor) -> "State":
        """These rows, in that order, each as often as it is named; the cache is changed in place."""
        self.cache.batch_select_indices(rows)
        mask = None if self.mask is None else self.mask[rows]
        values = None if self.values is None else self.values[rows]
        return State(self.cache, mask, self.positions[rows], self.logits[rows], values)

    def copy(self) -> "State":
        """The same rows with a cache of their own."""
        return replace(self, cache=copy.deepcopy(self.cache))


class TokenChoice(NamedTuple):
    """The next token of each row, and what is kept of it."""

    tokens: Tensor
    """(rows,)"""
    logprobs: Tensor
    """(rows,), the log-probability of the token."""
    extra: Tensor
    """(rows,), one more number to keep for each token: evaluation's margin, PPO's value."""


Choose = Callable[[State, Tensor, int], TokenChoice]
"""Chooses the next tokens from the state, for which rows of the batch (rows,), and at which step, counted from 0."""


@dataclass(frozen=True)
class DecodingRules:
    """When replies end, and when rows that have ended leave the batch."""

    max_new_tokens: int
    end_tokens: tuple[int, ...]
    """The tokens that end a reply."""
    pad_token: int = 0
    """Fills rows after the end of their reply."""
    shrink_at: float = 0.5
    """Rows that have ended leave the batch once at most this share of it is still being written."""
    stopped: Callable[[list[int]], bool] | None = None
    """Whether a reply is over, by its tokens so far. It is called every `CHECK_EVERY` steps, so the caller cuts."""
    any_process: Callable[[bool], bool] = bool
    """Whether a flag is set on any process. Where a model is sharded over processes, all of them must step together."""


@dataclass(frozen=True)
class Decoded:
    """The replies of R rows, padded on the right to `max_new_tokens` = T."""

    tokens: Tensor
    """(R, T) ids, the end token included."""
    lengths: Tensor
    """(R,) tokens of each reply, its end token included."""
    ended: Tensor
    """(R,) bool: whether the reply ended by itself."""
    logprobs: Tensor
    """(R, T), as `TokenChoice.logprobs`; 0 after the end."""
    extra: Tensor
    """(R, T), as `TokenChoice.extra`; 0 after the end."""


def pad_left(
    prompts: Sequence[Sequence[int]], pad_token: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Prompts as a batch that is padded on the left.

    Args:
        prompts: The ids of each prompt; none is empty.
        pad_token: Fills shorter rows.
        device: Where the tensors are made.

    Returns:
        The ids (rows, width), the mask (rows, width, bool: whether a token is real), the positions (rows, width), and
        the lengths (rows,).
    """
    width = max(len(prompt) for prompt in prompts)
    rows = [[pad_token] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    mask = torch.arange(width, 0, -1, device=device)[None] <= lengths[:, None]
    return torch.tensor(rows, device=device), mask, (mask.cumsum(1) - 1).clamp(min=0), lengths


def advance(step: Step, state: State, tokens: Tensor) -> State:
    """The state after one more token in each row.

    Args:
        step: The model's forward pass.
        state: The rows before it; its cache is continued in place.
        tokens: (rows,) ids.
    """
    mask = None if state.mask is None else torch.cat([state.mask, state.mask.new_ones(len(tokens), 1)], dim=1)
    logits, values = step(tokens[:, None], mask, state.positions[:, None], state.cache)
    return State(state.cache, mask, state.positions + 1, logits, values)


def decode(step: Step, state: State, choose: Choose, rules: DecodingRules) -> Decoded:
    """Continues each row until its reply ends, or for `max_new_tokens` tokens.

    Call it without gradients: PPO keeps the result for its backward passes (`torch.no_grad`), evaluation does not
    (`torch.inference_mode`).

    Args:
        step: The model's forward pass.
        state: The prompts as they were read; its cache is continued in place.
        choose: Picks the next token of each row.
        rules: When a reply ends.
    """
    decoded = _empty(state, rules)
    rows = torch.arange(len(state.logits), device=state.logits.device)  # which replies the batch's rows write
    for number in range(rules.max_new_tokens):
        choice = choose(state, rows, number)
        _record(decoded, rows, number, choice, rules)
        if rules.stopped and number % CHECK_EVERY == CHECK_EVERY - 1:
            _end_where_stopped(decoded, rows, number + 1, rules.stopped)
        writing = ~decoded.ended[rows]
        left = int(writing.sum())
        if number == rules.max_new_tokens - 1 or not rules.any_process(left > 0):
            break
        tokens = choice.tokens
        if 0 < left <= rules.shrink_at * len(rows):
            kept = writing.nonzero()[:, 0]
            state, rows, tokens = state.select(kept), rows[kept], tokens[kept]
        state = advance(step, state, tokens)
    return decoded


def _empty(state: State, rules: DecodingRules) -> Decoded:
    """Replies of which nothing is written yet."""
    count, limit, device = len(state.logits), rules.max_new_tokens, state.logits.device
    return Decoded(
        torch.full((count, limit), rules.pad_token, device=device),
        torch.full((count,), limit, device=device),
        torch.zeros(count, dtype=torch.bool, device=device),
        torch.zeros(count, limit, dtype=state.logits.dtype, device=device),
        torch.zeros(count, limit, dtype=state.logits.dtype, device=device),
    )


def _record(decoded: Decoded, rows: Tensor, number: int, choice: TokenChoice, rules: DecodingRules) -> None:
    """Writes step `number` of the rows whose reply has not ended, and notes which end with it."""
    writing = ~decoded.ended[rows]
    decoded.tokens[rows, number] = torch.where(writing, choice.tokens, rules.pad_token)
    decoded.logprobs[rows, number] = torch.where(writing, choice.logprobs, 0.0)
    decoded.extra[rows, number] = torch.where(writing, choice.extra, 0.0)
    ending = rows[writing & torch.isin(choice.tokens, torch.tensor(rules.end_tokens, device=rows.device))]
    decoded.lengths[ending] = number + 1
    decoded.ended[ending] = True


def _end_where_stopped(decoded: Decoded, rows: Tensor, length: int, stopped: Callable[[list[int]], bool]) -> None:
    """Ends the replies of `length` tokens so far that `stopped` says are over."""
    for row in rows[~decoded.ended[rows]].tolist():
        if stopped(decoded.tokens[row, :length].tolist()):
            decoded.lengths[row], decoded.ended[row] = length, True
