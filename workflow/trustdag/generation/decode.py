"""Decoding token by token: one loop for evaluation's replies and PPO's rollouts.

The loop is independent of model and sampling method. A `Step` runs the model on new tokens; a `Choose` picks the next
token of each row. Rows are padded on the left and have explicit positions, so padding changes no row's reply.
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
            cache: The keys and values of the tokens before.

        Returns:
            The logits (rows, vocabulary) after the last token, and the value model's values (rows,) there, or None.
        """
        ...


@dataclass
class State:
    """The decoding state of the rows of a batch: the model's cache and the logits of the next token."""

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
        """The rows with these indices, which may repeat; the cache is changed in place."""
        self.cache.batch_select_indices(rows)
        mask = None if self.mask is None else self.mask[rows]
        values = None if self.values is None else self.values[rows]
        return State(self.cache, mask, self.positions[rows], self.logits[rows], values)

    def copy(self) -> "State":
        """The same rows with a cache of their own."""
        return replace(self, cache=copy.deepcopy(self.cache))


class TokenChoice(NamedTuple):
    """The next token of each row, and the numbers that are kept for it."""

    tokens: Tensor
    """(rows,)"""
    logprobs: Tensor
    """(rows,), the log-probability of the token."""
    extra: Tensor
    """(rows,), one more number to keep for each token: evaluation's margin, PPO's value."""


Choose = Callable[[State, Tensor, int], TokenChoice]
"""Chooses the next tokens. Its arguments: the state, the indices (rows,) of its rows in the batch, the step from 0."""


@dataclass(frozen=True)
class DecodingRules:
    """When replies end, and when rows with an ended reply leave the batch."""

    max_new_tokens: int
    end_tokens: tuple[int, ...]
    """The tokens that end a reply."""
    pad_token: int = 0
    """Fills rows after the end of their reply."""
    shrink_at: float = 0.5
    """Rows with an ended reply leave the batch when at most this share of its rows is still decoded."""
    stopped: Callable[[list[int]], bool] | None = None
    """Whether a reply is complete, given its tokens so far. It is called every `CHECK_EVERY` steps, so a reply may be
    too long, and the caller cuts it."""
    any_process: Callable[[bool], bool] = bool
    """Whether a flag is set on any process. All processes of a sharded model must run the same steps."""


@dataclass(frozen=True)
class Decoded:
    """The replies of R rows, padded on the right to `max_new_tokens` = T."""

    tokens: Tensor
    """(R, T) ids, the end token included."""
    lengths: Tensor
    """(R,) tokens of each reply, its end token included."""
    ended: Tensor
    """(R,) bool: whether the reply has an end token or a stop text."""
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
        device: Device of the tensors.

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

    Call it without gradients: PPO under `torch.no_grad`, as its backward passes use the result; evaluation under
    `torch.inference_mode`.

    Args:
        step: The model's forward pass.
        state: The state after the prompts; its cache is continued in place.
        choose: Picks the next token of each row.
        rules: When a reply ends.
    """
    decoded = _empty(state, rules)
    rows = torch.arange(len(state.logits), device=state.logits.device)  # the reply that each row of the batch decodes
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
    """Empty replies."""
    count, limit, device = len(state.logits), rules.max_new_tokens, state.logits.device
    return Decoded(
        torch.full((count, limit), rules.pad_token, device=device),
        torch.full((count,), limit, device=device),
        torch.zeros(count, dtype=torch.bool, device=device),
        torch.zeros(count, limit, dtype=state.logits.dtype, device=device),
        torch.zeros(count, limit, dtype=state.logits.dtype, device=device),
    )


def _record(decoded: Decoded, rows: Tensor, number: int, choice: TokenChoice, rules: DecodingRules) -> None:
    """Stores the tokens of step `number` for replies that have not ended, and marks those that end with it."""
    writing = ~decoded.ended[rows]
    decoded.tokens[rows, number] = torch.where(writing, choice.tokens, rules.pad_token)
    decoded.logprobs[rows, number] = torch.where(writing, choice.logprobs, 0.0)
    decoded.extra[rows, number] = torch.where(writing, choice.extra, 0.0)
    ending = rows[writing & torch.isin(choice.tokens, torch.tensor(rules.end_tokens, device=rows.device))]
    decoded.lengths[ending] = number + 1
    decoded.ended[ending] = True


def _end_where_stopped(decoded: Decoded, rows: Tensor, length: int, stopped: Callable[[list[int]], bool]) -> None:
    """Marks replies of `length` tokens as ended where `stopped` is true."""
    for row in rows[~decoded.ended[rows]].tolist():
        if stopped(decoded.tokens[row, :length].tolist()):
            decoded.lengths[row], decoded.ended[row] = length, True
