"""Shared setup of a training stage: checkpoint lock, signal handlers, gradient accumulation."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trustdag.errors import UserError
from trustdag.train import checkpoints
from trustdag.train.settings import TrainSettings
from trustdag.train.stage import Stage
from trustdag.train.trackers import Trackers, tracked


@dataclass(frozen=True)
class Session:
    """A stage during its training."""

    stage: Stage
    settings: TrainSettings
    folder: Path
    """Folder of checkpoints, metrics and other state of a resumed run."""
    stop: checkpoints.StopRequest
    trackers: Trackers | None = None
    """They get each line of metrics."""


@contextmanager
def session(stage: Stage, settings: TrainSettings) -> Iterator[Session]:
    """Opens a stage for training. Raises UserError while another process trains it,
    or if a tracker that was asked for is not installed.
    """
    from trustdag.models.logging_setup import hide_library_messages
    from trustdag.models.threads import use_threads

    use_threads()
    hide_library_messages()
    folder = stage.checkpoints(settings)
    shown = settings.model_dump(mode="json") | {"method": stage.method, "seed": stage.seed}
    with (
        checkpoints.exclusive(folder),
        checkpoints.stop_on_signals() as stop,
        tracked(stage.tracking, folder.name, shown) as trackers,
    ):
        yield Session(stage, settings, folder, stop, trackers)


@dataclass(frozen=True)
class Batches:
    """The division of an optimizer step's examples into forward passes."""

    device: int
    """Examples in one forward pass of one process."""
    accumulation: int
    """Forward passes of one process in a step."""


def processes() -> int:
    """Number of processes that train the stage together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def share_of_process(settings: TrainSettings) -> int:
    """Examples of one process in an optimizer step. Raises UserError if `batch_size` does not divide evenly."""
    share, remainder = divmod(settings.batch_size, processes())
    if remainder or share == 0:
        raise UserError(f"batch_size: {settings.batch_size} does not divide over {processes()} processes")
    return share


def batches(settings: TrainSettings, fitting: int | None = None) -> Batches:
    """Divides `batch_size` over processes and forward passes.

    Args:
        settings: The stage's settings.
        fitting: Default for the examples of one forward pass. None: the whole share of the process.

    Raises:
        UserError: The division leaves a remainder.
    """
    share = share_of_process(settings)
    device = min(settings.device_batch_size or fitting or share, share)
    if share % device:
        raise UserError(
            f"device_batch_size: {device} does not divide the {share} examples that a process has in a step"
        )
    return Batches(device=device, accumulation=share // device)
