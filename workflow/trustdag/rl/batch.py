"""The replies of one update from all processes, with their scores, log-probabilities and values."""

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor

from trustdag.rl.model import Sequences


@dataclass(frozen=True)
class Batch:
    """B replies; (B, T) fields are zero outside `mask`.

    Every process holds the whole batch, which is small compared with a model: statistics need no communication.
    """

    tokens: Tensor
    """(B, W) ids: prompt, reply, padding."""
    prompt_lengths: Tensor
    """(B,)"""
    mask: Tensor
    """(B, T) bool: the reply's own tokens, its end-of-text token included."""
    ended: Tensor
    """(B,) bool: whether the reply has an end-of-text token."""
    scores: Tensor
    """(B,) raw rewards."""
    logprobs: Tensor
    """(B, T) of the policy that sampled the reply."""
    ref_logprobs: Tensor
    """(B, T) of the reference."""
    values: Tensor
    """(B, T) of the value model, before each token."""

    @property
    def sequences(self) -> Sequences:
        """Prompts and replies, for a model to read."""
        return Sequences(self.tokens, self.prompt_lengths, self.mask)

    @property
    def lengths(self) -> Tensor:
        """(B,) tokens of each reply."""
        return self.mask.sum(1)


@dataclass(frozen=True)
class Experience(Batch):
    """A batch with advantages and returns."""

    advantages: Tensor
    """(B, T)"""
    returns: Tensor
    """(B, T)"""


AnyBatch = TypeVar("AnyBatch", bound=Batch)


def rows_of(batch: AnyBatch, rows: Tensor) -> AnyBatch:
    """Some rows of a batch, cut to the longest of them."""
    steps = int(batch.mask[rows].sum(1).max())
    width = int((batch.prompt_lengths + batch.mask.sum(1))[rows].max())
    values = {field.name: getattr(batch, field.name)[rows] for field in fields(batch)}
    wide = {name: value[:, :steps] for name, value in values.items() if name != "tokens" and value.dim() == 2}
    return replace(batch, **(values | wide | {"tokens": values["tokens"][:, :width]}))


def scatter(values: Tensor, mask: Tensor) -> Tensor:
    """Values of the reply tokens (N,), in the order of the mask, to (B, T) with zeros elsewhere."""
    return values.new_zeros(mask.shape).masked_scatter(mask, values)


def splits(lengths: Tensor, parts: int, part: int, size: int | None) -> list[Tensor]:
    """The rows of one process, in groups of similar length.

    Rows are distributed in order of length, so that processes have equal work and groups have little padding.

    Args:
        lengths: (B,) tokens of each row.
        parts: Number of processes.
        part: The process, counted from 0.
        size: The most rows in a group. None: one group.

    Returns:
        Row numbers, one tensor for each group.
    """
    rows = torch.argsort(lengths, stable=True)[part::parts]
    return list(rows.split(size or len(rows)))
