"""Replay of a stage's training in plain torch, step by step, for TracIn and exact differentiation.

The order of examples, learning rates, clipping and AdamW are those of the stage's trainer. `check` refuses a replay
that does not end at the trained weights. Only training of all weights by AdamW without weight decay is replayed.
Imports torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil
from typing import Any

import torch
from torch import Tensor

from trustdag.attribution.batches import Examples, PaddedBatch
from trustdag.attribution.objectives import Objective
from trustdag.errors import UserError
from trustdag.train.optimizer import warmup_steps
from trustdag.train.settings import SupervisedSettings

EPSILON = 1e-8
"""AdamW's, in transformers' trainer."""
TOLERANCE = 0.05
"""Largest distance between the replay's end and the trained weights, relative to the distance that training moved."""


@dataclass(frozen=True)
class TrainingStep:
    """One optimizer step."""

    number: int
    """0 is the first."""
    examples: tuple[int, ...]
    learning_rate: float


@dataclass(frozen=True)
class TrainingState:
    """Weights and AdamW's two moments, each a vector, before a step."""

    weights: Tensor
    first: Tensor
    second: Tensor

    @classmethod
    def start(cls, weights: Tensor) -> "TrainingState":
        """Before the first step."""
        return cls(weights, torch.zeros_like(weights), torch.zeros_like(weights))


@dataclass(frozen=True)
class Replay:
    """A training run that can be repeated: its examples, loss, settings and first weights."""

    model: Any
    """The model; it has the weights of the present step."""
    start: Tensor
    """The weights before the first step, as one vector."""
    examples: Examples
    objective: Objective
    settings: SupervisedSettings
    seed: int
    pad: int
    names: tuple[str, ...] = field(init=False)
    """The parameters, in the order of the vectors."""

    def __post_init__(self) -> None:
        refuse_unreplayable(self.settings)
        object.__setattr__(self, "names", tuple(name for name, _ in self.model.named_parameters()))

    @cached_property
    def steps(self) -> list[TrainingStep]:
        """All steps of the training."""
        from torch.optim import SGD
        from transformers import get_scheduler

        size, count = self.settings.batch_size, len(self.examples)
        total = self.settings.max_steps or self.settings.epochs * ceil(count / size)
        dummy = SGD([torch.zeros(1, requires_grad=True)], lr=self.settings.learning_rate)
        shape = self.settings.schedule if self.settings.schedule != "constant" else "constant_with_warmup"
        schedule = get_scheduler(shape, dummy, warmup_steps(self.settings.warmup, total), total)
        steps = []
        for number, examples in zip(range(total), self._order(), strict=False):
            steps.append(TrainingStep(number, examples, dummy.param_groups[0]["lr"]))
            dummy.step()
            schedule.step()
        return steps

    def _order(self) -> Iterator[tuple[int, ...]]:
        """The examples of each step, epoch after epoch: accelerate's seedable sampler, in chunks."""
        epoch, size = 0, self.settings.batch_size
        while True:
            generator = torch.Generator().manual_seed(self.seed + epoch)
            shuffled = torch.randperm(len(self.examples), generator=generator).tolist()
            for first in range(0, len(shuffled), size):
                yield tuple(shuffled[first : first + size])
            epoch += 1

    def batch(self, step: TrainingStep) -> PaddedBatch:
        """The examples of a step, on the device."""
        return self.examples.batch(step.examples, self.pad).to(self.start.device)

    def load(self, weights: Tensor) -> None:
        """Puts weights into the model."""
        torch.nn.utils.vector_to_parameters(weights, self.model.parameters())

    def gradient(self, batch: PaddedBatch, kept: Tensor | None = None, create_graph: bool = False) -> Tensor:
        """The gradient of a step's loss at the model's weights, as one vector.

        Args:
            batch: The step's examples.
            kept: (examples,) weight of each example's loss; None: 1.
            create_graph: Whether the gradient itself will be differentiated.
        """
        losses = self.objective.losses(self.model, batch)
        loss = (losses if kept is None else losses * kept).sum() * self.objective.share(batch)
        parameters = list(self.model.parameters())
        parts = torch.autograd.grad(loss, parameters, create_graph=create_graph, materialize_grads=True)
        return torch.cat([part.flatten() for part in parts])

    def run(self, kept: Tensor | None = None) -> Iterator[tuple[TrainingStep, TrainingState]]:
        """Trains. Yields each step with the state before it, then one more step with the final state.

        Args:
            kept: (all examples,) weight of each example's loss; None: 1. A weight of 0 leaves an example out without
                moving the others to other steps.
        """
        state = TrainingState.start(self.start.clone())
        kept = None if kept is None else kept.to(state.weights)
        for step in self.steps:
            self.load(state.weights)
            yield step, state
            batch = self.batch(step)
            gradient = self.gradient(batch, None if kept is None else kept[batch.examples])
            state = self.update(state, gradient, step)
        self.load(state.weights)
        yield TrainingStep(len(self.steps), (), 0.0), state

    def update(self, state: TrainingState, gradient: Tensor, step: TrainingStep) -> TrainingState:
        """AdamW's step with a clipped gradient. It is differentiable.

        Args:
            state: Weights and moments before the step.
            gradient: The loss's gradient at those weights: (parameters,).
            step: The step's number and learning rate.
        """
        norm = gradient.norm()
        clipped = gradient * (self.settings.max_grad_norm / (norm + 1e-6)).clamp(max=1.0)
        decay, second_decay = self.settings.betas
        first = decay * state.first + (1 - decay) * clipped
        second = second_decay * state.second + (1 - second_decay) * clipped**2
        number = step.number + 1
        # A weight that no example has changed has a second moment of 0, where the root has no derivative.
        touched = second > 0
        root = torch.where(touched, second, 1.0).sqrt() * touched
        scale = (1 - second_decay**number) ** 0.5
        change = first / (1 - decay**number) / (root / scale + EPSILON)
        return TrainingState(state.weights - step.learning_rate * change, first, second)

    def check(self, end: Tensor, trained: Tensor) -> float:
        """Distance of the replay's end from the trained weights, relative to the distance that training moved.

        Args:
            end: Weights at the replay's end.
            trained: Weights of the trained model.

        Raises:
            UserError: The distance is too large, so the replay is not this training.
        """
        distance = float((end - trained).norm() / (trained - self.start).norm())
        if not distance <= TOLERANCE:
            raise UserError(
                f"attribution: a replay of the training ends {distance:.3g} of its length away from the trained weights"
                f" (more than {TOLERANCE:g}); take a method that needs no replay, such as ekfac"
            )
        return distance


def refuse_unreplayable(settings: SupervisedSettings) -> None:
    """Raises UserError for settings of a training that is not replayed."""
    wrong = {
        "lora": settings.lora is not None,
        "optimizer": settings.optimizer != "adamw",
        "weight_decay": settings.weight_decay != 0,
    }
    for key, is_wrong in wrong.items():
        if is_wrong:
            raise UserError(
                f"attribution: the stage's `{key}` ({getattr(settings, key)!r:.40}) is not replayed; take a method that"
                " needs no replay, such as ekfac"
            )
