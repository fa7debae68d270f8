"""Which questions are asked together: a plan that follows from the questions and settings alone."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trustdag.errors import UserError
from trustdag.generation.prompts import EncodedItem

ALIKE = 16
"""Where many prompts start with the same tokens, so many, they are asked together and the start is read once."""
MANY = 32


@dataclass(frozen=True)
class GenerationRequest:
    """Part of a batch: one question, asked for these replies or its options' likelihood, or both by one reading."""

    question: EncodedItem
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


def plan(requests: Sequence[GenerationRequest], batch_tokens: int, new_tokens: int) -> list[list[GenerationRequest]]:
    """The batches, longest first: each holds at most `batch_tokens` (rows x length, padding included) or one request.

    Longest first, so that memory runs out at the start or not at all.
    """
    starts = Counter(_start(request) for request in requests)
    common = {start for start, count in starts.items() if count >= MANY}
    ordered = sorted(
        requests,
        key=lambda request: (_start(request) if _start(request) in common else (), -_length(request, new_tokens)),
    )
    batches: list[list[GenerationRequest]] = []
    rows, longest, group = 0, 0, None
    for request in ordered:
        start = _start(request) if _start(request) in common else ()
        longest = max(longest, _length(request, new_tokens)) if start == group else 0
        if start == group and (rows + request.rows) * longest <= batch_tokens:
            batches[-1].append(request)
            rows += request.rows
        else:
            batches.append([request])
            rows, longest, group = request.rows, _length(request, new_tokens), start
    return sorted(batches, key=lambda batch: -max(_length(request, new_tokens) for request in batch))


def _start(request: GenerationRequest) -> tuple[int, ...]:
    return request.prompt[:ALIKE]


def _length(request: GenerationRequest, new_tokens: int) -> int:
    """Positions of the longest row that the request needs."""
    longest = max(map(len, request.question.options)) if request.likelihood else 0
    return len(request.prompt) + max(new_tokens if request.samples else 0, longest)


def run_within_memory(
    batch: list[GenerationRequest],
    run: Callable[[list[GenerationRequest]], list[Any]],
    out_of_memory: Callable[[BaseException], bool],
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


def _halves(batch: list[GenerationRequest]) -> tuple[list[GenerationRequest], list[GenerationRequest]] | None:
    if len(batch) > 1:
        middle = len(batch) // 2
        return batch[:middle], batch[middle:]
    request = batch[0]
    if request.samples and request.likelihood:
        return [GenerationRequest(request.question, request.samples)], [GenerationRequest(request.question, (), True)]
    if len(request.samples) < 2:
        return None
    middle = len(request.samples) // 2
    return [GenerationRequest(request.question, request.samples[:middle])], [
        GenerationRequest(request.question, request.samples[middle:])
    ]
