"""EK-FAC: influence with the curvature of each linear layer in a Kronecker-factored eigenbasis.

George et al. 2018 (arXiv 1806.03884); for influence Grosse et al. 2023 (arXiv 2308.03296). The eigenvectors are those
of the second moments of inputs and of output gradients over tokens. The eigenvalues are the mean squares of the
gradients in that basis. Layers that are not linear have a diagonal curvature, the mean squares of their gradients.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trustdag.attribution.capture import LayerTrace
from trustdag.attribution.gradients import FullView, Gradients, Vectors
from trustdag.attribution.layers import Layer
from trustdag.attribution.problem import Problem, Scores
from trustdag.attribution.resume import PassSums, Sums
from trustdag.attribution.settings import MethodSettings
from trustdag.errors import UserError

DAMPING = 0.1
"""Damping as a share of a layer's mean eigenvalue (Grosse et al. 2023, section 3.2)."""
INPUTS, OUTPUTS = "inputs ", "outputs "
"""What the names of a linear layer's second moments start with; its name follows."""


@dataclass
class Curvature:
    """The curvature of one layer: eigenvectors of both factors (None where it is diagonal) and eigenvalues."""

    inputs: Tensor | None = None
    """(in, in): eigenvectors in columns."""
    outputs: Tensor | None = None
    """(out, out)."""
    eigenvalues: Tensor = field(default_factory=lambda: torch.zeros(()))
    """(out, in), or (weights,)."""

    def cast(self, like: Tensor) -> None:
        """Puts the eigenvectors, which are found in double precision, into the precision of the gradients."""
        if self.inputs is not None and self.outputs is not None:
            self.inputs, self.outputs = self.inputs.to(like), self.outputs.to(like)

    def rotated(self, gradients: Tensor) -> Tensor:
        """Gradients (vectors, out, in) in the eigenbasis."""
        assert self.inputs is not None, "a diagonal curvature has no basis"
        assert self.outputs is not None, "both factors have eigenvectors"
        return self.outputs.T @ gradients @ self.inputs

    def solve(self, vectors: Tensor, damping: float) -> Tensor:
        """(vectors, weights): the damped inverse curvature times vectors.

        A layer that the loss does not depend on has no curvature and gives 0: no example has a gradient there.
        """
        added = damping * float(self.eigenvalues.mean())
        if added == 0:
            return torch.zeros_like(vectors)
        if self.inputs is None or self.outputs is None:
            return vectors / (self.eigenvalues + added)
        shaped = vectors.reshape(len(vectors), len(self.outputs), len(self.inputs))
        solved = self.rotated(shaped) / (self.eigenvalues + added)
        return (self.outputs @ solved @ self.inputs.T).flatten(1)


def score(problem: Problem, settings: MethodSettings) -> Scores:
    """Minus query gradient times inverse curvature times example gradient, divided by the number of examples.

    To first order the query's value would fall by this much if the example were left out.
    """
    if not isinstance(problem.gradients.view, FullView):
        raise UserError("attribution: ekfac needs whole gradients; set `gradients: full`, or take datainf or dot")
    if settings.damping == 0:
        raise UserError("attribution: damping: ekfac needs more than 0, as a curvature may be singular (got 0)")
    damping = DAMPING if settings.damping is None else settings.damping
    curvatures = estimate(problem.gradients, problem.passes)
    solved: Vectors = {
        name: curvatures[name].solve(vectors.to(curvatures[name].eigenvalues), damping)
        for name, vectors in problem.final_queries().items()
    }
    return problem.dot_products(solved, -1.0 / problem.gradients.count)


def estimate(gradients: Gradients, passes: PassSums) -> dict[str, Curvature]:
    """The curvature of every layer, in two passes over the examples.

    Args:
        gradients: The examples.
        passes: What an interrupted estimate goes on from.
    """
    moments = passes.total("moments", gradients.curvature_traces, _add_moments)
    bases = passes.once("bases", lambda: _bases(moments, passes.processes.share(gradients.layers)))
    curvatures = {
        layer.name: Curvature(bases.get(INPUTS + layer.name), bases.get(OUTPUTS + layer.name))
        for layer in gradients.layers
    }

    def add(sums: Sums, traces: list[LayerTrace]) -> None:
        for trace in traces:
            squares = _squares(curvatures[trace.layer.name], trace) / gradients.count
            sums.setdefault(trace.layer.name, torch.zeros_like(squares, dtype=torch.float64)).add_(squares)

    like = next(gradients.model.parameters())
    for name, eigenvalues in passes.total("eigenvalues", gradients.curvature_traces, add).items():
        curvatures[name].eigenvalues = eigenvalues.to(like)
        curvatures[name].cast(like)
    return curvatures


def _add_moments(moments: Sums, traces: list[LayerTrace]) -> None:
    """Adds the second moments of both factors of linear layers."""
    for trace in traces:
        if trace.layer.kind != "linear":
            continue
        inputs, outputs = (factor.flatten(0, 1) for factor in trace.factors())
        real = (outputs != 0).any(1)  # padding, and tokens that no loss depends on, have no output gradient
        for kind, factor in ((INPUTS, inputs[real]), (OUTPUTS, outputs[real])):
            place, product = kind + trace.layer.name, factor.T @ factor
            # A block's products are rounded as its gradients are; the sum over many blocks is in double precision.
            moments.setdefault(place, torch.zeros_like(product, dtype=torch.float64)).add_(product)


def _bases(moments: Sums, layers: Iterable[Layer]) -> Sums:
    """The eigenvectors of both factors of the linear layers among these."""
    places = [kind + layer.name for layer in layers for kind in (INPUTS, OUTPUTS) if layer.kind == "linear"]
    means = {place: moments[place].diagonal().mean().clamp(min=1e-300) for place in places}
    return {place: torch.linalg.eigh(moments[place] / mean)[1] for place, mean in means.items()}


def _squares(curvature: Curvature, trace: LayerTrace) -> Tensor:
    """The sum over examples of squared gradients, in the layer's basis."""
    if curvature.inputs is None or curvature.outputs is None:
        return (trace.gradients() ** 2).sum(0)
    inputs, outputs = trace.factors()
    curvature.cast(inputs)
    rotated = (outputs @ curvature.outputs).transpose(1, 2) @ (inputs @ curvature.inputs)
    return (rotated**2).sum(0)
