"""The reward model: the policy's trunk with one score, read at the last token of prompt and reply.

The loss is Bradley and Terry's, -log sigmoid(r(chosen) - r(rejected)) (Ouyang et al. 2022, arXiv 2203.02155, equation
1). Trainer: TRL's RewardTrainer.
"""

from typing import Any

from pydantic import Field

from trustdag.train.pairs import Replies, counts, splits
from trustdag.train.session import Session, session
from trustdag.train.settings import SupervisedSettings
from trustdag.train.stage import Stage

REQUIRES = ("policy",)
PRODUCES = "reward"


class Settings(SupervisedSettings):
    """Reward model on preference pairs."""

    center: float = Field(0.0, ge=0)
    """Weight of (r(chosen) + r(rejected))^2 in the loss, which keeps rewards near 0 (arXiv 2312.09244, section 3.2)."""


def train(stage: Stage, settings: Settings) -> None:
    """Trains the stage and writes its model, manifest and metrics; resumes where a killed run left its checkpoint."""
    with session(stage, settings) as running:
        _train(running, settings)


def _train(running: Session, settings: Settings) -> None:
    from trl import RewardConfig, RewardTrainer

    from trustdag.models.load import check_length, load_tokenizer, new_reward
    from trustdag.train.trainer import StageTrainer, arguments, fit, lora_config

    class Trainer(StageTrainer, RewardTrainer):
        """TRL's trainer as a stage."""

    stage = running.stage
    tokenizer = load_tokenizer(stage.policy)
    model = new_reward(stage.policy, tokenizer, stage.seed)
    check_length(stage.policy, model.config, settings.max_length)
    pairs = splits(stage, settings, ("chosen", "rejected"), tokenizer)
    trainer = Trainer(
        model=model,
        args=RewardConfig(**arguments(running, settings), center_rewards_coefficient=settings.center or None),
        train_dataset=_examples(pairs["train"]),
        eval_dataset=_examples(pairs["validation"]),
        processing_class=tokenizer,
        peft_config=lora_config(settings.lora, "SEQ_CLS"),
    )
    fit(running, trainer, tokenizer, counts(pairs))


def _examples(pairs: Replies) -> Any:
    """Whole texts as token ids."""
    from datasets import Dataset

    return Dataset.from_dict({"chosen_ids": pairs.joined("chosen"), "rejected_ids": pairs.joined("rejected")})
