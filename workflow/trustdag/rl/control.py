"""PPO's state between updates, besides weights: the KL coefficient and the scale of the rewards."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class KLController:
    """The weight of the KL penalty, fixed or steered towards a target (Ziegler et al. 2019, section 2.2)."""

    coef: float
    target: float | None
    horizon: int

    def update(self, kl: float, replies: int) -> None:
        """beta <- beta (1 + e n / horizon), e = clip((KL - target) / target, -0.2, 0.2), after `replies` more replies.

        `kl` is the mean over replies of the sum over their tokens. Without a target nothing changes.
        """
        if self.target is not None:
            error = min(max(kl / self.target - 1, -0.2), 0.2)
            self.coef *= 1 + error * replies / self.horizon


@dataclass
class RunningMoments:
    """Mean and variance of all rewards so far (Chan et al. 1979's pairwise update)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of squared differences from the mean."""

    def update(self, values: Tensor) -> None:
        """Adds values, of any shape."""
        new = values.double()
        count, mean = new.numel(), new.mean().item()
        delta, total = mean - self.mean, self.count + new.numel()
        self.squares += ((new - mean) ** 2).sum().item() + delta**2 * self.count * count / total
        self.mean += delta * count / total
        self.count = total

    @property
    def deviation(self) -> float:
        """The unbiased standard deviation; 1 until there are two different values."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 and self.squares > 0 else 1.0


def shape_scores(scores: Tensor, ended: Tensor, scale: float, clip: float | None, penalty: float) -> Tensor:
    """Rewards as PPO learns from them.

    Args:
        scores: (B,) raw rewards.
        ended: (B,) bool: whether the reply has an end-of-text token.
        scale: Divides the rewards.
        clip: Rewards are clipped to plus and minus this, after scaling. None: never.
        penalty: Subtracted from the reward of a reply without an end.

    Returns:
        (B,)
    """
    scores = scores / scale
    if clip is not None:
        scores = scores.clamp(-clip, clip)
    return torch.where(ended, scores, scores - penalty)
