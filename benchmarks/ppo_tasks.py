"""The tasks of benchmarks/ppo_learning.py and what both sides share. Needs torch and transformers alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

import ppo_models

SHAPE = ppo_models.Shape(vocabulary=64, hidden=32, layers=2, heads=2, prompt=6, reply=12, context=32)
END_LOGIT = 0.0
"""The policies start nearly uniform, and end a reply as readily as they say any other word."""
UPDATES = 60
SHARED = {"learning_rate": 1e-3, "kl_coef": 0.05, "temperature": 1.0}
WORD, END = 5, 0


@dataclass(frozen=True)
class Task:
    """A reward, as a function of texts for ours and of token ids for TRL, and the most that can be had."""

    of_texts: Callable[[Sequence[str], Sequence[str]], list[float]]
    of_token: Callable[[Tensor], Tensor]
    """What each token of a reply adds to the reward; ids of any shape to numbers of that shape."""
    optimum: float


TASKS = {
    "say w5": Task(
        lambda _prompts, texts: [float(text.split().count(f"w{WORD}")) for text in texts],
        lambda ids: (ids == WORD).float(),
        SHAPE.reply,
    ),
    "end early": Task(
        lambda _prompts, texts: [-float(len(text.split())) for text in texts], lambda ids: -(ids != END).float(), 0.0
    ),
}


class TokenReward(nn.Module):
    """A task's reward in the form that TRL asks: a classifier whose score at each position is the reward so far."""

    base_model_prefix = "backbone"

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        self.backbone = self._rewards_so_far
        self.score = nn.Identity()

    def _rewards_so_far(self, input_ids: Tensor, **_: Any) -> SimpleNamespace:
        """input_ids (B, W), prompts of one length -> hidden states (B, W, 1): the sum over the reply up to there."""
        added = self.task.of_token(input_ids)
        added[:, : SHAPE.prompt] = 0.0
        return SimpleNamespace(hidden_states=[added.cumsum(1)[..., None]])
