"""Training on preference pairs, shared by SFT, the reward model and DPO, which differ in their trainer alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from trustdag.train.pairs import EncodedReplies, counts, say_dropped, splits
from trustdag.train.session import Session, session
from trustdag.train.settings import SupervisedSettings
from trustdag.train.stage import Stage

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

AnySettings = TypeVar("AnySettings", bound=SupervisedSettings)


@dataclass(frozen=True)
class TrainerInputs:
    """What a method builds its trainer from."""

    session: Session
    tokenizer: "PreTrainedTokenizerBase"
    pairs: dict[str, EncodedReplies]
    """`train` and `validation`."""
    arguments: dict[str, Any]
    """What all of TRL's configurations share."""

    @property
    def stage(self) -> Stage:
        """The stage that is trained."""
        return self.session.stage

    def data(self, examples: Callable[[EncodedReplies], dict[str, Any]]) -> dict[str, Any]:
        """The arguments of a TRL trainer that hold the data; `examples` gives a split's columns by TRL's names."""
        from datasets import Dataset

        return {
            "train_dataset": Dataset.from_dict(examples(self.pairs["train"])),
            "eval_dataset": Dataset.from_dict(examples(self.pairs["validation"])),
            "processing_class": self.tokenizer,
        }


def supervised(
    stage: Stage,
    settings: AnySettings,
    columns: tuple[str, ...],
    build: Callable[[TrainerInputs, AnySettings], Any],
) -> None:
    """Trains a stage and writes its model, manifest and metrics; resumes where a killed run left its checkpoint.

    Args:
        stage: The stage.
        settings: The method's settings.
        columns: Replies that the method reads: `chosen`, `rejected` or both. Pairs are dropped if one is too long.
        build: Makes the trainer, one of `trl_adapter`.

    Raises:
        UserError: Another process trains the stage, no pair fits, or the training diverges.
    """
    from trustdag.models.load import check_length, load_config, load_tokenizer
    from trustdag.train import trainer

    with session(stage, settings) as running:
        check_length(stage.policy, load_config(stage.policy), settings.max_length)
        tokenizer = load_tokenizer(stage.policy)
        pairs = splits(stage, settings, columns, tokenizer)
        say_dropped(pairs, settings.max_length)
        arguments = trainer.arguments(running, settings, max(map(EncodedReplies.longest, pairs.values())))
        inputs = TrainerInputs(running, tokenizer, pairs, arguments)
        trainer.fit(running, build(inputs, settings), tokenizer, counts(pairs))
