"""Checkpoints of a training stage: written atomically, by one process at a time, also when a signal asks to stop."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from pydantic import ValidationError

from trustdag.errors import UserError
from trustdag.jobs.processes import Process
from trustdag.jobs.resumable import EXIT_RESUMABLE, saved_message

LOCK = "lock.json"
PREFIX = "checkpoint-"


# --- Where ---


def latest(folder: Path) -> Path | None:
    """The newest checkpoint of a stage, or None. A checkpoint has its name only once it is complete."""
    complete = [path for path in folder.glob(f"{PREFIX}*") if path.is_dir()]
    return max(complete, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    """The optimizer step after which a checkpoint was written."""
    return int(checkpoint.name.removeprefix(PREFIX))


@contextmanager
def writing(folder: Path, step: int) -> Iterator[Path]:
    """Yields an empty folder that becomes the checkpoint of `step`; only then are older ones removed."""
    partial = partial_folder(folder)
    partial.mkdir(parents=True)
    try:
        yield partial
        keep(partial, folder, step)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def partial_folder(folder: Path) -> Path:
    """Where a checkpoint is written before it is complete: the same for all processes, cleared at the next start."""
    return folder / ".checkpoint.partial"


def keep(written: Path, folder: Path, step: int) -> None:
    """Makes a written folder the checkpoint of a step: syncs its files to the disk, renames it, removes older ones.

    Args:
        written: The complete checkpoint, on the same file system as `folder`.
        folder: Where the stage keeps its checkpoints.
        step: The optimizer step after which it was written.
    """
    for path in written.rglob("*"):
        if path.is_file():
            _sync(path)
    target = folder / f"{PREFIX}{step}"
    if target.exists():
        shutil.rmtree(target)
    written.replace(target)
    for older in folder.glob(f"{PREFIX}*"):
        if older != target:
            shutil.rmtree(older)


def remove(folder: Path) -> None:
    """Removes a finished stage's checkpoints, and those of other settings beside them that no process holds."""
    for sibling in [folder, *folder.parent.glob("*")]:
        if sibling.is_dir() and (sibling == folder or _holder(sibling) is None):
            shutil.rmtree(sibling)
    if folder.parent.is_dir() and not any(folder.parent.iterdir()):
        folder.parent.rmdir()


def _sync(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


# --- One writer ---


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Holds the lock on a stage's checkpoints.

    Clears what a dead process left behind: its lock and a half-written checkpoint.

    Raises:
        UserError: Another process trains the stage: on this host (for example an orphan of a killed workflow) or as
            another Slurm job.
    """
    if int(os.environ.get("RANK", "0")) > 0:  # under `accelerate launch` the first process holds the lock for all
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / LOCK
    _acquire(lock)
    try:
        for partial in folder.glob(".*.partial"):
            shutil.rmtree(partial)
        yield
    finally:
        lock.unlink(missing_ok=True)


def _acquire(lock: Path) -> None:
    holder = _holder(lock.parent)
    if holder is not None:
        job = f", Slurm job {holder.slurm_job}" if holder.slurm_job else ""
        raise UserError(
            f"{lock}: process {holder.pid} on {holder.host}{job} is training this stage; wait for it or stop it "
            "(if it is certainly gone, remove the file)"
        )
    lock.unlink(missing_ok=True)
    try:
        with lock.open("x", encoding="utf-8") as handle:
            handle.write(Process.ours().as_json())
    except FileExistsError:
        raise UserError(f"{lock}: another process has just started to train this stage; wait for it") from None


def _holder(folder: Path) -> Process | None:
    """The living process that holds the checkpoints in `folder`, if there is one."""
    try:
        holder = Process.from_json((folder / LOCK).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):  # an empty lock: its writer was killed in the act
        return None
    return holder if holder.lives() else None


# --- Signals ---


class StopRequest:
    """Set by SIGTERM or SIGUSR1: the training loop then saves a checkpoint and calls `leave`."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def leave(self, step: int) -> None:
        """Exits with EXIT_RESUMABLE after printing which step was saved."""
        name = signal.Signals(self.signal or signal.SIGTERM).name
        print(saved_message(name, step), file=sys.stderr)
        raise SystemExit(EXIT_RESUMABLE)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """SIGTERM and SIGUSR1 no longer kill the process but ask it to stop at the end of its step."""
    request = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        request.signal = number

    previous: dict[int, Callable[..., Any] | int | None] = {
        number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGUSR1)
    }
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
