"""AdamW and the learning-rate schedule of the training loops of this package (pretraining and PPO)."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

ScheduleShape = Literal["constant", "linear", "cosine"]


def build_adamw(
    model: "torch.nn.Module",
    *,
    learning_rate: float,
    betas: tuple[float, float],
    weight_decay: float,
    epsilon: float = 1e-8,
) -> "torch.optim.Optimizer":
    """AdamW over the trainable parameters, with weight decay on matrices but not on biases and norms.

    Args:
        model: The module whose parameters with `requires_grad` are trained.
        learning_rate: Peak learning rate.
        betas: Decay rates of the first and second moment.
        weight_decay: Decoupled weight decay.
        epsilon: Added to the denominator of the update.
    """
    import torch

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.dim() >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=learning_rate, betas=betas, eps=epsilon, fused=True
    )


@dataclass(frozen=True)
class LearningRateSchedule:
    """Linear warm-up from 0 to the peak, then constant, linear or cosine decay to a share of the peak."""

    steps: int
    """Steps of the whole training."""
    warmup: float
    """Steps of the warm-up."""
    shape: ScheduleShape
    floor: float = 0.0
    """Share of the peak at which a cosine ends."""

    def rate(self, step: int, peak: float = 1.0) -> float:
        """The learning rate of a step, counted from 0. It depends on nothing else, so a resumed run needs no state."""
        if step < self.warmup:
            return peak * (step + 1) / (self.warmup + 1)
        progress = (step - self.warmup) / max(1.0, self.steps - self.warmup)
        if self.shape == "constant":
            return peak
        if self.shape == "linear":
            return peak * (1 - progress)
        return peak * (self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * progress)))


def warmup_steps(warmup: float, steps: int) -> int:
    """The length of the warm-up. Below 1, `warmup` is a share of all steps; from 1 on it is a number of steps."""
    return round(warmup * steps) if warmup < 1 else round(warmup)
