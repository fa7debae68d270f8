"""Our side of benchmarks/attribution_speed.py: answers each line of standard input by one line of JSON."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

import attribution_world as world
from trustdag.attribution.batches import Examples, PaddedBatch
from trustdag.attribution.gradients import FullView, Gradients, Vectors, View
from trustdag.attribution.layers import select
from trustdag.attribution.methods import method
from trustdag.attribution.objectives import SftObjective
from trustdag.attribution.problem import Problem
from trustdag.attribution.settings import MethodName, MethodSettings
from trustdag.attribution.views import LoraView, ProjectedView

BLOCK, PAD = 16, 1
"""Texts in one backward pass, which is the default; and a padding token, which no text needs here."""


class Side:
    """The model and the query."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.model = folder, world.load(folder)
        self.selection = select(self.model, world.PATTERN)
        _, self.queries = world.texts_of(folder)

    def scores(self, name: MethodName, view: View) -> Callable[[list[list[int]]], Tensor]:
        """A method on some features; the query's gradients are computed here, before any clock runs.

        Args:
            name: The method.
            view: The features.
        """
        settings = MethodSettings(method=name, damping=None if name in ("dot", "datainf") else world.DAMPING)
        # The query's number is minus its loss, so that the signs are those of the other side.
        if name == "datainf":
            query = {layer: -rows for layer, rows in rows_of(self.gradients(self.queries, view)).items()}
        else:
            rows_by_layer = rows_of(self.gradients(self.queries[: world.SUMMED], view))
            query = {layer: -rows.mean(0, keepdim=True) for layer, rows in rows_by_layer.items()}

        def score(texts: list[list[int]]) -> Tensor:
            parts = method(name).score(Problem(self.gradients(texts, view), lambda: query), settings)
            return torch.stack(list(parts.values())).sum(0)

        return score

    def gradients(self, texts: list[list[int]], view: View) -> Gradients:
        """The gradients of the mean cross-entropy of each text's tokens after the first."""
        examples = Examples([ids[:1] for ids in texts], ([ids[1:] for ids in texts],))
        objective = SftObjective(float(world.TOKENS - 1))

        def curvature(model: Any, batch: PaddedBatch, _generator: torch.Generator) -> Tensor:
            # The texts' own labels in place of drawn ones, on both sides, so that both have the same curvature.
            return objective.losses(model, batch) * objective.mean_tokens**0.5

        return Gradients(
            self.model, self.selection, lambda: examples.blocks(BLOCK, PAD), len(texts),
            objective.losses, curvature, view, keep=not isinstance(view, FullView),
        )  # fmt: skip

    def projections(self) -> ProjectedView:
        """bergson's projections, so that both sides project alike."""
        saved = torch.load(self.folder / "projections.pt")
        matrices = {}
        for layer in self.selection.layers:
            name = layer.name.removeprefix("model.")
            matrices[layer.name] = (saved[name, "right"].T.contiguous(), saved[name, "left"].T.contiguous())
        return ProjectedView(world.PROJECTION, 0, matrices)

    def adapters(self) -> LoraView:
        """The adapters of the change that training made."""
        start = AutoModelForCausalLM.from_pretrained(self.folder / "start", dtype=torch.float32)
        return LoraView.of_change(self.selection.layers, start, world.RANK)


def rows_of(gradients: Gradients) -> Vectors:
    """By layer, (examples, features)."""
    tables: Vectors = {}
    for block in gradients.blocks():
        for name, features in block.features():
            table = tables.setdefault(name, features.new_zeros(gradients.count, features.shape[1]))
            table[block.examples] = features
    return tables


def main() -> None:
    """Answers the lines of standard input."""
    side = Side(Path(sys.argv[1]))
    views: dict[MethodName, Callable[[], View]] = {
        "dot": FullView,
        "projected": side.projections,
        "ekfac": FullView,
        "datainf": side.adapters,
    }
    methods = {name: side.scores(name, views[name]()) for name in sys.argv[2:]}
    world.serve(methods, side.folder)


if __name__ == "__main__":
    main()
