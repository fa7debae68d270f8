"""Texts as vectors of the trained model itself, for the baseline of embedding similarity. Imports torch."""

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from trustdag.attribution.batches import NO_LABEL, Examples

if TYPE_CHECKING:
    from trustdag.attribution.subject import Subject
    from trustdag.stats.estimators import Array

BLOCK = 32


class Embeddings:
    """The mean of the last hidden state over the tokens of a reply."""

    def __init__(self, subject: "Subject") -> None:
        self._subject = subject

    @cached_property
    def of_pairs(self) -> "list[Array]":
        """(pairs, width) of the chosen replies and, if the stage trains on them, of the rejected replies."""
        return self.of(self._subject.examples)

    @torch.no_grad()
    def of(self, examples: Examples) -> "list[Array]":
        """For each reply of an example, (examples, width)."""
        model, pad, device = self._subject.model.base_model, self._subject.pad, self._subject.device
        sides: list[list[tuple[int, Array]]] = [[] for _ in examples.replies]
        for batch in examples.blocks(BLOCK, pad):
            moved = batch.to(device)
            hidden = model(input_ids=moved.ids, attention_mask=moved.attention).last_hidden_state
            marked = (moved.labels != NO_LABEL).to(hidden)
            means = (hidden * marked[..., None]).sum(1) / marked.sum(1, keepdim=True).clamp(min=1)
            numbers = batch.examples.tolist()
            for side, rows in zip(sides, means.double().cpu().chunk(len(sides)), strict=True):
                side += zip(numbers, rows.numpy(), strict=True)
        return [np.stack([vector for _, vector in sorted(side, key=lambda entry: entry[0])]) for side in sides]
