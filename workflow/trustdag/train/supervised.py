"""Training on preference pairs for SFT, the reward model and DPO, which differ only in their trainer."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, TypeVar

from trustdag.models.size import SINGLE, parameters_in_folder
from trustdag.train.capacity import ForwardPass, StageSize, check_disk, check_memory, disk_need, stage_memory
from trustdag.train.pairs import EncodedReplies, counts, say_dropped, splits
from trustdag.train.session import Session, session
from trustdag.train.settings import SupervisedSettings
from trustdag.train.stage import Stage

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

AnySettings = TypeVar("AnySettings", bound=SupervisedSettings)


@dataclass(frozen=True)
class TrainerInputs:
    """The inputs from which a method builds its trainer."""

    session: Session
    tokenizer: "PreTrainedTokenizerBase"
    pairs: dict[str, EncodedReplies]
    """`train` and `validation`."""
    arguments: dict[str, Any]
    """The arguments that all of TRL's configurations share."""

    @property
    def stage(self) -> Stage:
        """The stage."""
        return self.session.stage

    def data(self, examples: Callable[[EncodedReplies], dict[str, Any]]) -> dict[str, Any]:
        """The data arguments of a TRL trainer; `examples` returns a split's columns under TRL's names."""
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
    """Trains a stage and writes its model, manifest and metrics. Resumes from the last checkpoint of a killed run.

    Args:
        stage: The stage.
        settings: The method's settings.
        columns: Replies that the method reads: `chosen`, `rejected` or both. Pairs are dropped if one is too long.
        build: Builds the trainer, one of `trl_adapter`.

    Raises:
        UserError: No pair fits, memory or disk are too small, another process trains the stage, or the training
            diverges.
    """
    from trustdag.models.load import check_length, choose_bf16, load_config, load_tokenizer
    from trustdag.models.logging_setup import hide_library_messages
    from trustdag.train import trainer
    from trustdag.train.memory import Passes

    hide_library_messages()
    config = load_config(stage.policy)
    check_length(stage.policy, config, settings.max_length)
    tokenizer = load_tokenizer(stage.policy)
    pairs = splits(stage, settings, columns, tokenizer)
    say_dropped(pairs, settings.max_length)
    longest = max(map(EncodedReplies.longest, pairs.values()))
    passes = Passes.of(config, settings, longest)
    width = 2 if choose_bf16(settings.precision) else SINGLE
    forward = ForwardPass(passes.batches.device, longest, passes.recompute, width)
    size = StageSize.of(config, parameters_in_folder(stage.policy), settings, forward)
    check_memory(stage.policy, stage.method, size, stage_memory())
    with session(stage, settings) as running:
        steps = settings.max_steps or settings.epochs * ceil(len(pairs["train"]) / settings.batch_size)
        check_disk(running.folder, disk_need(size, steps, settings))
        inputs = TrainerInputs(running, tokenizer, pairs, trainer.arguments(running, settings, passes))
        trainer.fit(running, build(inputs, settings), tokenizer, counts(pairs))
