"""Gradients of single examples in blocks, the input of every method. Imports torch."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
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

    def blocks(self) -> Iterator[Block]:
        """The gradient of each example's loss, in one pass over the data."""
        for batch, traces in self._passes(self.losses):
            yield Block(batch.examples, {trace.layer.name: self.view.features(trace) for trace in traces})

    def curvature_traces(self, seed: int = 0) -> Iterator[list[LayerTrace]]:
        """Traces by example of the gradients whose mean outer product is the Gauss-Newton matrix."""
        generator = torch.Generator(next(self.model.parameters()).device).manual_seed(seed)
        yield from (traces for _, traces in self._passes(lambda model, batch: self.curvature(model, batch, generator)))

    def _passes(self, values: Callable[[Any, PaddedBatch], Tensor]) -> Iterator[tuple[PaddedBatch, list[LayerTrace]]]:
        for batch in self.batches():
            yield batch, traces_of(self.model, self.layers, batch, values)


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


def weighted_sum(
    gradients: Iterable[Block], weights: Mapping[str, Tensor] | Tensor, sizes: Mapping[str, int]
) -> Vectors:
    """Sums over the examples of weights times gradients.

    Args:
        gradients: One pass over the examples.
        weights: (vectors, all examples), or such a table for each layer.
        sizes: Features of each layer.

    Returns:
        By layer, (vectors, features).
    """
    totals: Vectors = {}
    for block in gradients:
        for name, features in block.features.items():
            of_layer = weights if isinstance(weights, Tensor) else weights[name]
            chosen = of_layer[:, block.examples].to(features)
            total = totals.setdefault(name, features.new_zeros(len(chosen), sizes[name]))
            total += chosen @ features
    return totals
