"""Gradients of single examples in blocks, the input of every method. Imports torch."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from trustdag.attribution.batches import PaddedBatch
from trustdag.attribution.capture import Capture, LayerTrace, frozen
from trustdag.attribution.layers import Layer, Selection
from trustdag.attribution.processes import ALONE, Processes

Vectors = dict[str, Tensor]
"""By layer: (vectors, features), such as one gradient for each query."""


class View(Protocol):
    """The features of a layer's gradient: the whole gradient, that of a low-rank adapter, or a projection."""

    def size(self, layer: Layer) -> int:
        """How many features the layer has."""

    def features(self, trace: LayerTrace) -> Tensor:
        """(examples, features): linear functions of each example's gradient."""

    def products(self, trace: LayerTrace, vectors: Tensor) -> Tensor:
        """(examples, vectors): the features' products with vectors (vectors, features)."""


class FullView:
    """The whole gradient."""

    def size(self, layer: Layer) -> int:
        """All weights."""
        return layer.size

    def features(self, trace: LayerTrace) -> Tensor:
        """The gradient itself."""
        return trace.gradients()

    def products(self, trace: LayerTrace, vectors: Tensor) -> Tensor:
        """With one vector, a linear layer's gradients are not formed, which saves writing and reading them."""
        if len(vectors) == 1 and trace.layer.kind == "linear":
            return trace.product(vectors[0])
        return self.features(trace) @ vectors.T


class Block(Protocol):
    """The gradients of some examples. They are formed when they are asked for, one layer at a time."""

    @property
    def examples(self) -> Tensor:
        """(examples,): their numbers."""

    def features(self) -> Iterator[tuple[str, Tensor]]:
        """Each layer's name and (examples, features)."""

    def products(self, vectors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        """Each layer's name and (examples, vectors), the products with that layer's vectors (vectors, features)."""


@dataclass(frozen=True)
class TracedBlock:
    """Gradients that are formed from traces."""

    examples: Tensor
    traces: list[LayerTrace]
    view: View

    def features(self) -> Iterator[tuple[str, Tensor]]:
        """See `Block`."""
        return ((trace.layer.name, self.view.features(trace)) for trace in self.traces)

    def products(self, vectors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        """See `Block`."""
        for trace in self.traces:
            name = trace.layer.name
            yield name, self.view.products(trace, vectors[name].to(trace.output_gradients))


@dataclass(frozen=True)
class KeptBlock:
    """Gradients that were formed before and kept."""

    examples: Tensor
    kept: Vectors

    def features(self) -> Iterator[tuple[str, Tensor]]:
        """See `Block`."""
        return iter(self.kept.items())

    def products(self, vectors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        """See `Block`."""
        return ((name, features @ vectors[name].to(features).T) for name, features in self.kept.items())


@dataclass(frozen=True)
class Gradients:
    """The gradients of all examples of a stage.

    Each pass computes them again, so that memory does not grow with the data, unless they are kept.
    """

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
    keep: bool = False
    """Whether the first whole pass keeps the features for later ones. The model must stay as it is."""
    processes: Processes = ALONE
    """The processes that share the blocks of a pass."""
    _kept: list[KeptBlock] = field(default_factory=list, init=False)
    """The blocks of the first whole pass."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The attributed layers."""
        return self.selection.layers

    @property
    def sizes(self) -> dict[str, int]:
        """Features of each layer."""
        return {layer.name: self.view.size(layer) for layer in self.layers}

    def blocks(self, start: int = 0) -> Iterator[Block]:
        """The gradient of each example's loss, in one pass over this process's share of the data.

        Args:
            start: How many blocks of the share are left out.
        """
        if self._kept:
            yield from self._kept[start:]
            return
        kept = []
        for batch in self.processes.share(self.batches(), start):
            block = TracedBlock(batch.examples, traces_of(self.model, self.layers, batch, self.losses), self.view)
            if self.keep:
                kept.append(KeptBlock(block.examples, dict(block.features())))
            yield kept[-1] if self.keep else block
            del block  # its traces go before the next ones come
        if start == 0:
            self._kept.extend(kept)

    def curvature_traces(self, start: int = 0) -> Iterator[list[LayerTrace]]:
        """Traces by example of the gradients whose mean outer product is the Gauss-Newton matrix.

        Each block has a random source of its own, so that a pass may begin at any block, and be shared.

        Args:
            start: How many blocks of this process's share are left out.
        """
        source = torch.Generator(next(self.model.parameters()).device)

        def values(model: Any, batch: PaddedBatch) -> Tensor:
            return self.curvature(model, batch, source)

        for number, batch in enumerate(self.processes.share(self.batches(), start), start):
            source.manual_seed(self.processes.place(number))
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
    traces = capture.traces()
    for place, trace in enumerate(traces):  # in place, so that a layer's rows go as its examples come
        traces[place] = trace.of_examples(batch.owners, batch.count)
    return traces


def add_weighted(totals: Vectors, block: Block, weights: Mapping[str, Tensor]) -> None:
    """Adds a block's weighted gradients to sums over the examples, which are in double precision.

    Args:
        totals: By layer, (vectors, features): is added to.
        block: Gradients of some examples.
        weights: By layer, (vectors, all examples).
    """
    for name, features in block.features():
        chosen = weights[name][:, block.examples].to(features)
        total = totals.setdefault(name, features.new_zeros(len(chosen), features.shape[1], dtype=torch.float64))
        total += chosen @ features
