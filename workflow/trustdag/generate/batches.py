"""Which questions are asked together: a plan that follows from the questions and settings alone."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trustdag.errors import UserError
from trustdag.generate.prompts import Question

ALIKE = 16
"""Where many prompts start with the same tokens, so many, they are asked together and the start is read once."""
MANY = 32


@dataclass(frozen=True)
class Ask:
    """Part of a batch: one question, asked for these replies or its options' likelihood, or both by one reading."""

    question: Question
    samples: tuple[int, ...]
    likelihood: bool = False

    @property
    def rows(self) -> int:
        """Rows that it takes in forward passes: its replies."""
        return len(self.samples) + self.likelihood * len(self.question.options)

    @property
    def prompt(self) -> tuple[int, ...]:
        """What is read; where both are asked, a question's prompt and context are the same."""
        return self.question.prompt if self.samples else self.question.context


def plan(asks: Sequence[Ask], batch_tokens: int, new_tokens: int) -> list[list[Ask]]:
    """The batches, longest first: each holds at most `batch_tokens` (rows x length, padding included) or one ask.

    Longest first, so that memory runs out at the start or not at all.
    """
    starts = Counter(_start(ask) for ask in asks)
    common = {start for start, count in starts.items() if count >= MANY}
    ordered = sorted(asks, key=lambda ask: (_start(ask) if _start(ask) in common else (), -_length(ask, new_tokens)))
    batches: list[list[Ask]] = []
    rows, longest, group = 0, 0, None
    for ask in ordered:
        start = _start(ask) if _start(ask) in common else ()
        longest = max(longest, _length(ask, new_tokens)) if start == group else 0
        if start == group and (rows + ask.rows) * longest <= batch_tokens:
            batches[-1].append(ask)
            rows += ask.rows
        else:
            batches.append([ask])
            rows, longest, group = ask.rows, _length(ask, new_tokens), start
    return sorted(batches, key=lambda batch: -max(_length(ask, new_tokens) for ask in batch))


def _start(ask: Ask) -> tuple[int, ...]:
    return ask.prompt[:ALIKE]


def _length(ask: Ask, new_tokens: int) -> int:
    """Positions of the longest row that the ask needs."""
    longest = max(map(len, ask.question.options)) if ask.likelihood else 0
    return len(ask.prompt) + max(new_tokens if ask.samples else 0, longest)


def run_within_memory(
    batch: list[Ask], run: Callable[[list[Ask]], list[Any]], out_of_memory: Callable[[BaseException], bool]
) -> Iterator[list[Any]]:
    """`run` of the batch or, where memory runs out, of its halves, and of theirs: yields the result of each part.

    Raises UserError where one row alone does not fit.
    """
    try:
        result = run(batch)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        halves = _halves(batch)
        if halves is None:
            name = batch[0].question.item
            raise UserError(f"item {name} does not fit in memory by itself; use a machine with more") from error
    else:
        yield result
        return
    for half in halves:
        yield from run_within_memory(half, run, out_of_memory)


def _halves(batch: list[Ask]) -> tuple[list[Ask], list[Ask]] | None:
    if len(batch) > 1:
        middle = len(batch) // 2
        return batch[:middle], batch[middle:]
    ask = batch[0]
    if ask.samples and ask.likelihood:
        return [Ask(ask.question, ask.samples)], [Ask(ask.question, (), True)]
    if len(ask.samples) < 2:
        return None
    middle = len(ask.samples) // 2
    return [Ask(ask.question, ask.samples[:middle])], [Ask(ask.question, ask.samples[middle:])]
