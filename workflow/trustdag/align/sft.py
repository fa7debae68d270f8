"""Supervised fine-tuning on the chosen replies.

The loss is the mean cross-entropy over the replies' tokens and the end-of-text that closes each; prompts are read, not
learned. Trainer: TRL's SFTTrainer.
"""

from typing import Any

from trustdag.train.cost import MethodCost, supervised_cost
from trustdag.train.pairs import EncodedReplies
from trustdag.train.settings import SupervisedSettings
from trustdag.train.stage import Stage
from trustdag.train.supervised import TrainerInputs, supervised

REQUIRES = ("policy",)
PRODUCES = "policy"


class Settings(SupervisedSettings):
    """Supervised fine-tuning."""


def cost(settings: Settings, pairs: int) -> MethodCost:
    """One model is trained on the chosen replies."""
    return supervised_cost(settings, pairs, frozen=0, sequences=1, flops=6)


def train(stage: Stage, settings: Settings) -> None:
    """Trains the stage and writes its model, manifest and metrics; resumes where a killed run left its checkpoint."""
    supervised(stage, settings, ("chosen",), build_trainer)


def build_trainer(inputs: TrainerInputs, settings: Settings) -> Any:
    """TRL's trainer, on whole texts as token ids."""
    from trl import SFTConfig

    from trustdag.models.load import load_policy
    from trustdag.train.lora import lora_config
    from trustdag.train.trl_adapter import SFTStageTrainer

    return SFTStageTrainer(
        model=load_policy(inputs.stage.policy),
        args=SFTConfig(**inputs.arguments, dataset_kwargs={"skip_prepare_dataset": True}),
        peft_config=lora_config(settings.lora, "CAUSAL_LM") if settings.lora else None,
        **inputs.data(examples),
    )


def examples(pairs: EncodedReplies) -> dict[str, Any]:
    """Whole texts as token ids, with labels of -100 (no loss) for the prompts' tokens."""
    chosen = pairs.replies["chosen"]
    labels = [[-100] * len(prompt) + reply for prompt, reply in zip(pairs.prompts, chosen, strict=True)]
    return {"input_ids": pairs.joined("chosen"), "labels": labels}
