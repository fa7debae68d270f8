"""Exact differentiation of the query through every step of the training (MAGIC, Ilyas et al. 2025, arXiv 2504.16430).

The training is a function of the weight of each example's loss. Its derivative at weights of 1 is computed backward:
from the query's gradient at the trained weights through AdamW, clipping and each step's gradient, to the weights of the
examples of each step. The derivative is exact. As an estimate of leaving an example out it is a first-order one.
"""

import torch
from torch import Tensor

from trustdag.attribution.batches import PaddedBatch
from trustdag.attribution.capture import Capture, frozen
from trustdag.attribution.gradients import Vectors
from trustdag.attribution.layers import Layer
from trustdag.attribution.problem import Problem, Scores
from trustdag.attribution.replay import Replay, TrainingState, TrainingStep
from trustdag.attribution.resume import Sums
from trustdag.attribution.settings import MethodSettings
from trustdag.errors import UserError

SCORES = "scores "
"""What the names of the layers' scores start with among the sums; a layer's name follows."""


def score(problem: Problem, settings: MethodSettings) -> Scores:  # noqa: ARG001 - it has no settings
    """The derivative of the query with respect to the weight of each example's loss."""
    replay = problem.replay
    if replay is None:
        raise UserError("attribution: unrolled needs the training that led to the model, which cannot be replayed here")
    layers = problem.gradients.layers
    if problem.gradients.selection.left_out:
        left_out = ", ".join(problem.gradients.selection.left_out[:3])
        raise UserError(f"attribution: layers: unrolled needs every weight of the model; left out: {left_out}")
    states = list(replay.run())
    backwards = states[-2::-1]

    def start() -> Sums:
        vectors = problem.queries()
        adjoint = Adjoint.start(torch.stack([as_parameters(replay, layers, row) for row in rows_of(vectors)]))
        empty = {name: table.new_zeros(problem.gradients.count, len(table)) for name, table in vectors.items()}
        return vars(adjoint) | {SCORES + name: table for name, table in empty.items()}

    def add(sums: Sums, before: tuple[TrainingStep, TrainingState]) -> None:
        step, state = before
        replay.load(state.weights)
        batch = replay.batch(step)
        adjoint = Adjoint(sums["weights"], sums["first"], sums["second"])
        adjoint, slopes = backward(replay, batch, step, state, adjoint)
        sums.update(vars(adjoint))
        for name, table in example_products(replay, batch, layers, slopes).items():
            sums[SCORES + name].index_add_(0, batch.examples, table)

    sums = problem.passes.total("steps", lambda done: backwards[done:], add, start)
    replay.load(states[-1][1].weights)
    return {layer.name: sums[SCORES + layer.name] for layer in layers}


class Adjoint:
    """Derivatives of the queries with respect to a state: (queries, weights) each."""

    def __init__(self, weights: Tensor, first: Tensor, second: Tensor) -> None:
        self.weights, self.first, self.second = weights, first, second

    @classmethod
    def start(cls, gradients: Tensor) -> "Adjoint":
        """At the end of the training: the queries' gradients."""
        return cls(gradients, torch.zeros_like(gradients), torch.zeros_like(gradients))


def backward(
    replay: Replay, batch: PaddedBatch, step: TrainingStep, state: TrainingState, adjoint: Adjoint
) -> tuple[Adjoint, Tensor]:
    """Propagates derivatives from after a step to before it. The model has the weights before the step.

    Args:
        replay: The training.
        batch: The step's examples.
        step: The step.
        state: The state before it.
        adjoint: Derivatives with respect to the state after it.

    Returns:
        Derivatives with respect to the state before it; and to the step's gradient, (queries, weights).
    """
    gradient = replay.gradient(batch, create_graph=True)
    free = TrainingState(*(value.clone().requires_grad_() for value in (state.weights, state.first, state.second)))
    slope = gradient.detach().clone().requires_grad_()
    after = replay.update(free, slope, step)
    outputs, inputs = (after.weights, after.first, after.second), (free.weights, free.first, free.second, slope)
    parameters = list(replay.model.parameters())
    before: list[tuple[Tensor, Tensor, Tensor]] = []
    slopes = []
    for row in range(len(adjoint.weights)):
        along = (adjoint.weights[row], adjoint.first[row], adjoint.second[row])
        weights, first, second, of_gradient = torch.autograd.grad(outputs, inputs, along, retain_graph=True)
        through = torch.autograd.grad(
            gradient, parameters, of_gradient, retain_graph=row + 1 < len(adjoint.weights), materialize_grads=True
        )
        before.append((weights + torch.cat([part.flatten() for part in through]), first, second))
        slopes.append(of_gradient)
    return Adjoint(*(torch.stack(rows) for rows in zip(*before, strict=True))), torch.stack(slopes)


def example_products(replay: Replay, batch: PaddedBatch, layers: tuple[Layer, ...], slopes: Tensor) -> Scores:
    """Influence of each example's gradient on the queries in one step: by layer, (examples of the step, queries).

    Args:
        replay: The training, at the weights before the step.
        batch: The step's examples.
        layers: The layers whose weights count.
        slopes: The queries' derivatives by the step's gradient: (queries, parameters).
    """
    capture = Capture(layers)
    with frozen(replay.model), capture.hooks(), torch.enable_grad():
        (replay.objective.losses(replay.model, batch).sum() * replay.objective.share(batch)).backward()
    vectors = [as_layers(replay, layers, row) for row in slopes]
    scores: Scores = {}
    for trace in capture.traces():
        features = trace.of_examples(batch.owners, batch.count).gradients()
        scores[trace.layer.name] = features @ torch.stack([vector[trace.layer.name] for vector in vectors]).T
    return scores


def rows_of(vectors: Vectors) -> list[dict[str, Tensor]]:
    """One dictionary of layers for each query."""
    count = len(next(iter(vectors.values())))
    return [{name: table[row] for name, table in vectors.items()} for row in range(count)]


def as_layers(replay: Replay, layers: tuple[Layer, ...], vector: Tensor) -> dict[str, Tensor]:
    """Splits a vector over the model's parameters into one vector for each layer, in the order of its gradients.

    Args:
        replay: Gives the names and sizes of the parameters.
        layers: The layers to return.
        vector: One number for each parameter: (parameters,).
    """
    sizes = [parameter.numel() for parameter in replay.model.parameters()]
    parts = dict(zip(replay.names, vector.split(sizes), strict=True))
    by_layer = {}
    for layer in layers:
        weight, bias = parts[f"{layer.name}.weight"], parts.get(f"{layer.name}.bias")
        if layer.kind == "linear" and bias is not None:
            by_layer[layer.name] = torch.cat([weight.reshape(len(bias), -1), bias[:, None]], dim=1).flatten()
        else:
            by_layer[layer.name] = torch.cat([weight, *([] if bias is None else [bias])])
    return by_layer


def as_parameters(replay: Replay, layers: tuple[Layer, ...], vectors: dict[str, Tensor]) -> Tensor:
    """The inverse of `as_layers`: joins the vectors of the layers into one vector over the model's parameters.

    Args:
        replay: Gives the names of the parameters in order.
        layers: The layers of the vectors: all that hold parameters.
        vectors: A vector for each layer, by its name.
    """
    parts: dict[str, Tensor] = {}
    for layer in layers:
        vector, weight = vectors[layer.name], layer.module.get_parameter("weight")
        has_bias = f"{layer.name}.bias" in replay.names
        if layer.kind == "linear" and has_bias:
            table = vector.reshape(len(weight), -1)
            parts[f"{layer.name}.weight"], parts[f"{layer.name}.bias"] = table[:, :-1].flatten(), table[:, -1]
        else:
            parts[f"{layer.name}.weight"] = vector[: weight.numel()]
            if has_bias:
                parts[f"{layer.name}.bias"] = vector[weight.numel() :]
    return torch.cat([parts[name] for name in replay.names])
