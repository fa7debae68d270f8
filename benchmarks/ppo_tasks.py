"""The tasks of benchmarks/ppo_learning.py and what both sides share. Needs torch and transformers alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

from torch import Tensor, nn

import ppo_models

SHAPE = ppo_models.Shape(vocabulary=64, hidden=32, layers=2, heads=2, prompt=6, reply=12, context=32)
END_LOGIT = 0.0
"""The policies start nearly uniform, and end a reply as readily as they say any other word."""
SETTINGS = {
    "updates": 60,
    "batch_size": SHAPE.batch,
    "epochs": ppo_models.EPOCHS,
    "minibatches": ppo_models.MINIBATCHES,
    "max_new_tokens": SHAPE.reply,
    "learning_rate": 1e-3,
    "kl_coef": 0.05,
    "value_clip": 0.2,
    "missing_end_penalty": 0.0,
}
"""Of the tasks below, by the names of trustdag.rl.settings."""
WORD, END = 5, 0


class Run(NamedTuple):
    """One training that both sides do, from the same models, on the same prompts, with the same settings."""

    task: str
    seed: int
    policy: str
    """Model folder."""
    reward: str | None
    """Folder of a reward model, which the value model starts from too. None: the task is one of `TASKS`."""
    prompts: list[str]
    settings: dict[str, Any]
    """The keys of `SETTINGS`."""


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
