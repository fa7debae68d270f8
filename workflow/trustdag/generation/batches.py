"""The plan of batches. It depends on the requests and settings alone, so a resumed run forms the same batches."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trustdag.errors import UserError
from trustdag.generation.prompts import EncodedItem

PREFIX_TOKENS = 16
"""Prompts with the same first 16 tokens are batched together, so that the prefix is computed once..."""
MIN_GROUP = 32
"""...if there are at least this many such prompts."""


@dataclass(frozen=True)
class GenerationRequest:
    """Part of a batch: one item, and whether its replies, its options' likelihood or both are computed."""

    item: EncodedItem
    samples: tuple[int, ...]
    """The numbers of the replies to sample."""
    likelihood: bool = False
    """Whether to compute the likelihood of the item's options."""

    @property
    def rows(self) -> int:
        """Rows of its result: replies and options."""
        return len(self.samples) + self.likelihood * len(self.item.options)

    @property
    def prompt(self) -> tuple[int, ...]:
        """The tokens that the model reads. A request for both has the same prompt and context."""
        return self.item.prompt if self.samples else self.item.context

    def fits(self, max_new_tokens: int, context: int) -> bool:
        """Whether every row of its result fits in a model's context without padding.

        Args:
            max_new_tokens: Tokens of the longest reply.
            context: The context length in tokens.
        """
        # The last token of an option is predicted and never read.
        longest = max(map(len, self.item.options)) - 1 if self.likelihood else 0
        new = max_new_tokens if self.samples else 0
        return len(self.prompt) + max(new, longest) <= context


def plan(requests: Sequence[GenerationRequest], batch_tokens: int, new_tokens: int) -> list[list[GenerationRequest]]:
    """Divides requests into batches, longest first, so that memory runs out at the start or not at all.

    Args:
        requests: The requests to compute.
        batch_tokens: The most tokens (rows x length, padding included) in a batch of more than one request.
        new_tokens: Tokens of the longest reply.
    """
    prefixes = Counter(_prefix(request) for request in requests)
    common = {prefix for prefix, count in prefixes.items() if count >= MIN_GROUP}

    def group_of(request: GenerationRequest) -> tuple[int, ...]:
        return _prefix(request) if _prefix(request) in common else ()

    ordered = sorted(requests, key=lambda request: (group_of(request), -_length(request, new_tokens)))
    batches: list[list[GenerationRequest]] = []
    rows, longest, group = 0, 0, None
    for request in ordered:
        longest = max(longest, _length(request, new_tokens)) if group_of(request) == group else 0
        if group_of(request) == group and (rows + request.rows) * longest <= batch_tokens:
            batches[-1].append(request)
            rows += request.rows
        else:
            batches.append([request])
            rows, longest, group = request.rows, _length(request, new_tokens), group_of(request)
    return sorted(batches, key=lambda batch: -max(_length(request, new_tokens) for request in batch))


def _prefix(request: GenerationRequest) -> tuple[int, ...]:
    return request.prompt[:PREFIX_TOKENS]


def _length(request: GenerationRequest, new_tokens: int) -> int:
    """Positions of the longest row that the request needs."""
    longest = max(map(len, request.item.options)) if request.likelihood else 0
    return len(request.prompt) + max(new_tokens if request.samples else 0, longest)


def run_within_memory(
    batch: list[GenerationRequest],
    run: Callable[[list[GenerationRequest]], list[Any]],
    out_of_memory: Callable[[BaseException], bool],
) -> Iterator[list[Any]]:
    """Runs a batch. If memory runs out, halves the batch until its parts fit.

    Args:
        batch: The batch.
        run: Computes the replies of a batch.
        out_of_memory: Whether an error of `run` means that memory ran out.

    Yields:
        The result of `run` for each part.

    Raises:
        UserError: One row alone does not fit.
    """
    try:
        result = run(batch)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        halves = _halves(batch)
        if halves is None:
            name = batch[0].item.item
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
        return [GenerationRequest(request.item, request.samples)], [GenerationRequest(request.item, (), True)]
    if len(request.samples) < 2:
        return None
    middle = len(request.samples) // 2
    return [GenerationRequest(request.item, request.samples[:middle])], [
        GenerationRequest(request.item, request.samples[middle:])
    ]
