"""Examples as padded batches: which rows of a batch belong to which example. Imports torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trustdag.train.pairs import EncodedReplies, Ids

NO_LABEL = -100
"""The label of a token that no loss is computed on."""


@dataclass(frozen=True)
class PaddedBatch:
    """Rows of tokens, padded on the right. An example has one or two rows."""

    ids: Tensor
    """(rows, tokens)."""
    attention: Tensor
    """(rows, tokens): 1 for a token of the text, 0 for padding."""
    labels: Tensor
    """(rows, tokens): the token where the loss counts it, else -100."""
    examples: Tensor
    """(examples,): each example's number in the data."""
    owners: Tensor
    """(rows,): index in `examples` of the example that a row belongs to."""
    reference: Tensor | None = None
    """(rows,): log-probabilities of the labels under the model that DPO starts from."""

    @property
    def count(self) -> int:
        """How many examples."""
        return len(self.examples)

    def to(self, device: torch.device | str) -> "PaddedBatch":
        """The batch on a device."""
        moved = {name: value.to(device) for name, value in vars(self).items() if value is not None}
        return replace(self, **moved)


@dataclass(frozen=True)
class Examples:
    """Encoded examples of one or two replies each."""

    prompts: Ids
    replies: tuple[Ids, ...]
    """The replies of each example, such as the chosen and the rejected ones, aligned with `prompts`."""
    reference: Tensor | None = None
    """(examples, replies): log-probabilities of the replies under the model that DPO starts from."""

    @classmethod
    def of_pairs(cls, pairs: EncodedReplies, columns: Sequence[str]) -> "Examples":
        """Examples from pairs, with the replies of these columns."""
        return cls(pairs.prompts, tuple(pairs.replies[column] for column in columns))

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def longest(self) -> int:
        """Tokens of the longest example as a batch of its own: all its replies, padded to the longest."""
        return len(self.replies) * max(map(self._length, range(len(self))))

    def batch(self, numbers: Sequence[int], pad: int) -> PaddedBatch:
        """A batch of the examples with these numbers. All first replies come before all second replies.

        Args:
            numbers: Numbers of the examples.
            pad: The token that rows are padded with.
        """
        rows = [(self.prompts[number], replies[number]) for replies in self.replies for number in numbers]
        width = max(len(prompt) + len(reply) for prompt, reply in rows)
        ids = [prompt + reply + [pad] * (width - len(prompt) - len(reply)) for prompt, reply in rows]
        seen = [len(prompt) + len(reply) for prompt, reply in rows]
        labels = torch.full((len(rows), width), NO_LABEL)
        for row, (prompt, reply) in enumerate(rows):
            labels[row, len(prompt) : len(prompt) + len(reply)] = torch.tensor(reply)
        reference = None if self.reference is None else self.reference[list(numbers)].T.flatten()
        return PaddedBatch(
            ids=torch.tensor(ids),
            attention=(torch.arange(width)[None] < torch.tensor(seen)[:, None]).long(),
            labels=labels,
            examples=torch.tensor(numbers),
            owners=torch.arange(len(numbers)).repeat(len(self.replies)),
            reference=reference,
        )

    def blocks(self, size: int, pad: int) -> Iterator[PaddedBatch]:
        """All examples in batches of at most `size`, sorted by length to keep padding small.

        Args:
            size: Examples in a batch.
            pad: The token that rows are padded with.
        """
        order = sorted(range(len(self)), key=self._length)
        for start in range(0, len(order), size):
            yield self.batch(order[start : start + size], pad)

    def _length(self, number: int) -> int:
        return max(len(self.prompts[number]) + len(replies[number]) for replies in self.replies)
