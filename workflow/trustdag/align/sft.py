"""Supervised fine-tuning on the chosen replies.

The loss is the mean cross-entropy over the replies' tokens, the end-of-text token included. The prompts' tokens have no
loss. Trainer: TRL's SFTTrainer.
"""

from collections.abc import Callable
from typing import Any

from trustdag.train.cost import MethodCost, supervised_cost
from trustdag.train.pairs import EncodedReplies, Ids
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
    """TRL's trainer on the chosen replies."""
    return trainer_on(inputs, settings, examples)


def trainer_on(
    inputs: TrainerInputs, settings: SupervisedSettings, texts: Callable[[EncodedReplies], dict[str, Any]]
) -> Any:
    """TRL's trainer, on whole texts as token ids.

    Args:
        inputs: The session, the tokenizer and the pairs.
        settings: The method's.
        texts: Builds a split's columns `input_ids` and `labels`.
    """
    from trl import SFTConfig

    from trustdag.models.load import load_policy
    from trustdag.train.lora import lora_config
    from trustdag.train.trl_adapter import SFTStageTrainer

    return SFTStageTrainer(
        model=load_policy(inputs.stage.policy),
        args=SFTConfig(
            **inputs.arguments,
            dataset_kwargs={"skip_prepare_dataset": True},
            router_aux_loss_coef=0.0,  # the loss of a mixture of experts is that of any other model
        ),
        peft_config=lora_config(settings.lora, "CAUSAL_LM") if settings.lora else None,
        **inputs.data(texts),
    )


def examples(pairs: EncodedReplies) -> dict[str, Any]:
    """Whole texts as token ids, with labels of -100 (no loss) for the prompts' tokens."""
    return whole_texts(pairs.prompts, pairs.replies["chosen"])


def whole_texts(prompts: Ids, replies: Ids) -> dict[str, Any]:
    """Each prompt and reply as one text, with no loss on the prompt."""
    pairs = list(zip(prompts, replies, strict=True))
    return {
        "input_ids": [prompt + reply for prompt, reply in pairs],
        "labels": [[-100] * len(prompt) + reply for prompt, reply in pairs],
    }
