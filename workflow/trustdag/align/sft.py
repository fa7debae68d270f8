"""Supervised fine-tuning on the chosen replies.

The loss is the mean cross-entropy over the replies' tokens and the end-of-text that closes each; prompts are read, not
learnt. Trainer: TRL's SFTTrainer.
"""

from typing import Any

from trustdag.train.pairs import Replies, counts, splits
from trustdag.train.session import Session, session
from trustdag.train.settings import SupervisedSettings
from trustdag.train.stage import Stage

REQUIRES = ("policy",)
PRODUCES = "policy"


class Settings(SupervisedSettings):
    """Supervised fine-tuning."""


def train(stage: Stage, settings: Settings) -> None:
    """Trains the stage and writes its model, manifest and metrics; resumes where a killed run left its checkpoint."""
    with session(stage, settings) as running:
        _train(running, settings)


def _train(running: Session, settings: Settings) -> None:
    from trl import SFTConfig, SFTTrainer

    from trustdag.models.load import check_length, load_policy, load_tokenizer
    from trustdag.train.trainer import StageTrainer, arguments, fit, lora_config

    class Trainer(StageTrainer, SFTTrainer):
        """TRL's trainer as a stage."""

    stage = running.stage
    tokenizer = load_tokenizer(stage.policy)
    model = load_policy(stage.policy)
    check_length(stage.policy, model.config, settings.max_length)
    pairs = splits(stage, settings, ("chosen",), tokenizer)
    trainer = Trainer(
        model=model,
        args=SFTConfig(**arguments(running, settings), dataset_kwargs={"skip_prepare_dataset": True}),
        train_dataset=_examples(pairs["train"]),
        eval_dataset=_examples(pairs["validation"]),
        processing_class=tokenizer,
        peft_config=lora_config(settings.lora, "CAUSAL_LM"),
    )
    fit(running, trainer, tokenizer, counts(pairs))


def _examples(pairs: Replies) -> Any:
    """Whole texts as token ids, with labels of -100 (no loss) for the prompts' tokens."""
    from datasets import Dataset

    chosen = pairs.replies["chosen"]
    labels = [[-100] * len(prompt) + reply for prompt, reply in zip(pairs.prompts, chosen, strict=True)]
    return Dataset.from_dict({"input_ids": pairs.joined("chosen"), "labels": labels})
