"""The reward model: the policy's trunk with one score, read at the last token of prompt and reply.

The loss is the Bradley-Terry loss -log sigmoid(r(chosen) - r(rejected)) (Ouyang et al. 2022, arXiv 2203.02155, equation
1). Trainer: TRL's RewardTrainer.
"""

from typing import Any

from trustdag.settings import NotNegative
from trustdag.train.cost import MethodCost, supervised_cost
from trustdag.train.pairs import EncodedReplies
from trustdag.train.settings import SupervisedSettings
from trustdag.train.stage import Stage
from trustdag.train.supervised import TrainerInputs, supervised

REQUIRES = ("policy",)
PRODUCES = "reward"


class Settings(SupervisedSettings):
    """Reward model on preference pairs."""

    center: NotNegative = 0.0
    """Weight of (r(chosen) + r(rejected))^2 in the loss, which keeps rewards near 0 (arXiv 2312.09244, section 3.2)."""


def cost(settings: Settings, pairs: int) -> MethodCost:
    """One model is trained on both replies."""
    return supervised_cost(settings, pairs, frozen=0, sequences=2, flops=6)


def train(stage: Stage, settings: Settings) -> None:
    """Trains the stage and writes its model, manifest and metrics; resumes where a killed run left its checkpoint."""
    supervised(stage, settings, ("chosen", "rejected"), build_trainer)


def build_trainer(inputs: TrainerInputs, settings: Settings) -> Any:
    """TRL's trainer, on whole texts as token ids."""
    from trl import RewardConfig

    from trustdag.models.load import new_reward
    from trustdag.train.lora import lora_config
    from trustdag.train.trl_adapter import RewardStageTrainer

    return RewardStageTrainer(
        model=new_reward(inputs.stage.policy, inputs.tokenizer, inputs.stage.seed),
        args=RewardConfig(**inputs.arguments, center_rewards_coefficient=settings.center or None),
        peft_config=lora_config(settings.lora, "SEQ_CLS") if settings.lora else None,
        **inputs.data(examples),
    )


def examples(pairs: EncodedReplies) -> dict[str, Any]:
    """Whole texts as token ids."""
    return {"chosen_ids": pairs.joined("chosen"), "rejected_ids": pairs.joined("rejected")}
