"""The input of a method: the examples' gradients, the queries, and the training of the model. Imports torch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from trustdag.attribution.gradients import Block, Gradients, Vectors
from trustdag.attribution.resume import PassSums

if TYPE_CHECKING:
    from trustdag.attribution.replay import Replay

Scores = dict[str, Tensor]
"""By layer: (examples, queries)."""


@dataclass(frozen=True)
class Problem:
    """An attribution to compute."""

    gradients: Gradients
    queries: Callable[[], Vectors]
    """The gradients (queries, features) of the queries at the model's present weights: this process's share of the sums
    over texts."""
    replay: "Replay | None" = None
    """The training that led to the model, for methods that follow it."""
    passes: PassSums = field(default_factory=PassSums)
    """What an interrupted attribution goes on from."""

    def final_queries(self) -> Vectors:
        """The queries' gradients at the trained weights, for methods that take them at no others."""
        return self.passes.once("queries", self.queries)

    def dot_products(self, vectors: Vectors, scale: float = 1.0, name: str = "scores") -> Scores:
        """The products of vectors with each example's gradient, in one pass over the examples.

        Args:
            vectors: By layer, (queries, features).
            scale: Multiplies all products.
            name: Tells the pass from the others of the attribution.

        Returns:
            By layer, (examples, queries).
        """
        count = self.gradients.count
        return self.passes.total(
            name, self.gradients.blocks, lambda scores, block: add_products(scores, block, vectors, scale, count)
        )


def add_products(scores: Scores, block: Block, vectors: Vectors, scale: float, count: int) -> None:
    """Adds the products of vectors with a block's gradients to the scores of its examples.

    Args:
        scores: The scores to update.
        block: Gradients of some examples.
        vectors: By layer, (queries, features).
        scale: Multiplies the products.
        count: How many examples there are in all.
    """
    for name, products in block.products(vectors):
        table = scores.setdefault(name, products.new_zeros(count, products.shape[1]))
        table.index_add_(0, block.examples.to(table.device), scale * products)
