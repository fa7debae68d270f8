"""The losses of the training methods, example by example, and their curvature. Imports torch.

The trainers in `align` compute the means of the same losses over a batch. A test compares the two.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid

from trustdag.align import dpo, reward, sft
from trustdag.attribution.batches import NO_LABEL, PaddedBatch
from trustdag.errors import UserError
from trustdag.train.settings import SupervisedSettings


class Objective(ABC):
    """A loss that is a mean over examples."""

    def share(self, batch: PaddedBatch) -> float:
        """The factor of each example's loss in a training step on this batch."""
        return 1 / batch.count

    @abstractmethod
    def losses(self, model: Any, batch: PaddedBatch) -> Tensor:
        """(examples,): the loss of each example."""

    @abstractmethod
    def curvature(self, model: Any, batch: PaddedBatch, generator: torch.Generator) -> Tensor:
        """(examples,): pseudo-losses. The mean outer product of their gradients is the Gauss-Newton matrix of the loss.

        Args:
            model: The model.
            batch: The examples.
            generator: Random generator for the signs or labels that are drawn.
        """


@dataclass(frozen=True)
class SftObjective(Objective):
    """Cross-entropy of the chosen reply, summed over its tokens and divided by the mean length of a reply.

    The trainer divides the sum over a step by the tokens of the step. So a long reply has more weight than a short one.
    """

    mean_tokens: float

    def share(self, batch: PaddedBatch) -> float:
        """The trainer divides by the tokens of the step, not by its examples."""
        return self.mean_tokens / float((batch.labels != NO_LABEL).sum())

    def losses(self, model: Any, batch: PaddedBatch) -> Tensor:
        """(examples,)."""
        return -reply_logprobs(model, batch) / self.mean_tokens

    def curvature(self, model: Any, batch: PaddedBatch, generator: torch.Generator) -> Tensor:
        """From labels drawn from the model: here the Gauss-Newton matrix is the Fisher information.

        Args:
            model: The model.
            batch: Examples.
            generator: Draws the labels.
        """
        logits, places = label_logits(model, batch)
        drawn = torch.multinomial(logits.detach().softmax(-1), 1, generator=generator)[:, 0]
        values = -cross_entropy(logits, drawn, reduction="none") / self.mean_tokens**0.5
        return values.new_zeros(batch.count).index_add(0, batch.owners[places], values)


class PairObjective(Objective):
    """A loss that is a sum of functions of single outputs of the model for a pair."""

    @abstractmethod
    def outputs(self, model: Any, batch: PaddedBatch) -> Tensor:
        """(examples, outputs)."""

    @abstractmethod
    def loss_of(self, outputs: Tensor) -> Tensor:
        """(examples,): the loss of the outputs; no term depends on two outputs."""

    def losses(self, model: Any, batch: PaddedBatch) -> Tensor:
        """(examples,)."""
        return self.loss_of(self.outputs(model, batch))

    def curvature(self, model: Any, batch: PaddedBatch, generator: torch.Generator) -> Tensor:
        """Outputs times the square root of the loss's second derivative, each with a random sign.

        Args:
            model: The model.
            batch: Pairs.
            generator: Draws the signs.
        """
        outputs = self.outputs(model, batch)
        free = outputs.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.loss_of(free).sum(), free, create_graph=True)
        bend = torch.autograd.grad(slope.sum(), free, allow_unused=True)[0] if slope.requires_grad else None
        if bend is None or not bend.any():
            raise UserError("attribution: this method needs a loss with curvature; take `dot` or `datainf`")
        signs = torch.randint(0, 2, outputs.shape, generator=generator, device=generator.device).to(outputs) * 2 - 1
        return (outputs * bend.clamp(min=0).sqrt() * signs).sum(1)


@dataclass(frozen=True)
class RewardObjective(PairObjective):
    """The Bradley-Terry loss of the difference of two rewards, and the penalty on their sum."""

    center: float

    def outputs(self, model: Any, batch: PaddedBatch) -> Tensor:
        """(examples, 2): the difference and the sum of the chosen and the rejected reply's reward."""
        chosen, rejected = rewards(model, batch).chunk(2)
        return torch.stack([chosen - rejected, chosen + rejected], dim=1)

    def loss_of(self, outputs: Tensor) -> Tensor:
        """(examples,)."""
        return -logsigmoid(outputs[:, 0]) + self.center * outputs[:, 1] ** 2


@dataclass(frozen=True)
class DpoObjective(PairObjective):
    """DPO's loss of the difference of two log-ratios, in one of its variants."""

    settings: dpo.Settings

    def outputs(self, model: Any, batch: PaddedBatch) -> Tensor:
        """(examples, 1): the margin; for IPO the margin of means over tokens."""
        assert batch.reference is not None, "DPO's batches hold the reference's log-probabilities"
        ratios = reply_logprobs(model, batch, by_row=True) - batch.reference
        if self.settings.loss == "ipo":
            ratios = ratios / (batch.labels != NO_LABEL).sum(1)
        chosen, rejected = ratios.chunk(2)
        return (chosen - rejected)[:, None]

    def loss_of(self, outputs: Tensor) -> Tensor:
        """(examples,)."""
        margin, beta, smoothing = outputs[:, 0], self.settings.beta, self.settings.label_smoothing
        match self.settings.loss:
            case "sigmoid":
                return -logsigmoid(beta * margin)
            case "hinge":
                return torch.relu(1 - beta * margin)
            case "ipo":
                return (margin - 1 / (2 * beta)) ** 2
            case "robust":
                kept, flipped = logsigmoid(beta * margin), logsigmoid(-beta * margin)
                return (-(1 - smoothing) * kept + smoothing * flipped) / (1 - 2 * smoothing)


def objective_of(settings: SupervisedSettings, mean_tokens: float) -> Objective:
    """The loss of a stage with these settings.

    Args:
        settings: Settings of `sft`, `reward` or `dpo`.
        mean_tokens: Mean length of a chosen reply in tokens, the end token included.
    """
    if isinstance(settings, sft.Settings):
        return SftObjective(mean_tokens)
    if isinstance(settings, reward.Settings):
        return RewardObjective(settings.center)
    assert isinstance(settings, dpo.Settings)
    return DpoObjective(settings)


def label_logits(model: Any, batch: PaddedBatch) -> tuple[Tensor, Tensor]:
    """The logits at the positions that have a label.

    Returns:
        Logits (labels, vocabulary) in at least float32, and the row (labels,) of each.
    """
    logits = model(input_ids=batch.ids, attention_mask=batch.attention, use_cache=False).logits[:, :-1]
    marked = batch.labels[:, 1:] != NO_LABEL
    chosen = logits[marked]
    return (chosen if chosen.dtype == torch.float64 else chosen.float()), marked.nonzero()[:, 0]


def reply_logprobs(model: Any, batch: PaddedBatch, by_row: bool = False, temperature: float = 1.0) -> Tensor:
    """The log-probability of the labels, summed over their tokens.

    Args:
        model: A language model.
        batch: The rows.
        by_row: Sum by row instead of by example.
        temperature: Divides the logits.

    Returns:
        (examples,), or (rows,) by row.
    """
    logits, places = label_logits(model, batch)
    targets = batch.labels[:, 1:][batch.labels[:, 1:] != NO_LABEL]
    values = -cross_entropy(logits / temperature, targets, reduction="none")
    owners, count = (places, len(batch.ids)) if by_row else (batch.owners[places], batch.count)
    return values.new_zeros(count).index_add(0, owners, values)


def rewards(model: Any, batch: PaddedBatch) -> Tensor:
    """(rows,): a reward model's score of each row."""
    scores: Tensor = model(input_ids=batch.ids, attention_mask=batch.attention, use_cache=False).logits[:, 0]
    return scores if scores.dtype == torch.float64 else scores.float()
