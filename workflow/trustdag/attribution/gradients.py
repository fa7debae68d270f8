"""Gradients of single examples in blocks, the input of every method. Imports torch."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor

from trustdag.attribution.batches import PaddedBatch
from trustdag.attribution.capture import Capture, LayerTrace, frozen
from trustdag.attribution.layers import Layer, Selection

Vectors = dict[str, Tensor]
"""By layer: (vectors, features), such as one gradient for each query."""


class View(Protocol):
    """The features of a layer's gradient: the whole gradient, that of a low-rank adapter, or a projection."""

    def size(self, layer: Layer) -> int:
        """How many features the layer has."""

    def features(self, trace: LayerTrace) -> Tensor:
        """(examples, features): linear functions of each example's gradient."""


class FullView:
    """The whole gradient."""

    def size(self, layer: Layer) -> int:
        """All weights."""
        return layer.size

    def features(self, trace: LayerTrace) -> Tensor:
        """The gradient itself."""
        return trace.gradients()


@dataclass(frozen=True)
class Block:
    """The gradients of some examples."""

    examples: Tensor
    """(examples,): their numbers."""
    features: Vectors
    """By layer, (examples, features)."""


@dataclass(frozen=True)
class Gradients:
    """The gradients of all examples of a stage. Each pass computes them again: memory does not grow with the data."""

    model: Any
    selection: Selection
    batches: Callable[[], Iterable[PaddedBatch]]
    """A new pass over all examples."""
    count: int
    """How many examples there are."""
    losses: Callable[[Any, PaddedBatch], Tensor]
    """The loss (examples,) of each example of a batch."""
    curvature: Callable[[Any, PaddedBatch, torch.Generator], Tensor]
    """See `Objective.curvature`."""
    view: View = field(default_factory=FullView)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The attributed layers."""
        return self.selection.layers

    @property
    def sizes(self) -> dict[str, int]:
        """Features of each layer."""
        return {layer.name: self.view.size(layer) for layer in self.layers}

    def blocks(self, start: int = 0) -> Iterator[Block]:
        """The gradient of each example's loss, in one pass over the data, from the block of number `start` on."""
        for batch in islice(self.batches(), start, None):
            traces = traces_of(self.model, self.layers, batch, self.losses)
            yield Block(batch.examples, {trace.layer.name: self.view.features(trace) for trace in traces})

    def curvature_traces(self, start: int = 0) -> Iterator[list[LayerTrace]]:
        """Traces by example of the gradients whose mean outer product is the Gauss-Newton matrix.

        Each block has a random source of its own, so that a pass may begin at the block of number `start`.
        """
        source = torch.Generator(next(self.model.parameters()).device)

        def values(model: Any, batch: PaddedBatch) -> Tensor:
            return self.curvature(model, batch, source)

        for number, batch in enumerate(islice(self.batches(), start, None), start):
            source.manual_seed(number)
            yield traces_of(self.model, self.layers, batch, values)


def traces_of(
    model: Any, layers: Iterable[Layer], batch: PaddedBatch, values: Callable[[Any, PaddedBatch], Tensor]
) -> list[LayerTrace]:
    """Traces of the layers by example, from differentiating the values (examples,) of a batch.

    Args:
        model: The model.
        layers: The attributed layers.
        batch: The examples.
        values: Computes one number for each example. It depends on no other example.

    Returns:
        One trace for each layer, by example.
    """
    capture = Capture(layers)
    with frozen(model), capture.hooks(), torch.enable_grad():
        values(model, batch).sum().backward()
    return [trace.of_examples(batch.owners, batch.count) for trace in capture.traces()]


def add_weighted(totals: Vectors, block: Block, weights: Mapping[str, Tensor]) -> None:
    """Adds a block's weighted gradients to sums over the examples.

    Args:
        totals: By layer, (vectors, features): is added to.
        block: Gradients of some examples.
        weights: By layer, (vectors, all examples).
    """
    for name, features in block.features.items():
        chosen = weights[name][:, block.examples].to(features)
        total = totals.setdefault(name, features.new_zeros(len(chosen), features.shape[1]))
        total += chosen @ features
