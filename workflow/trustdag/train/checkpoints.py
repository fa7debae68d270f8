"""Checkpoints of a training stage: sealed by digests, locked for one process, and saved when a signal asks to stop."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from trustdag import artifacts
from trustdag.artifacts import sha256_text
from trustdag.errors import UserError
from trustdag.jobs.processes import Process
from trustdag.jobs.resumable import EXIT_RESUMABLE, saved_message
from trustdag.progress import log_line
from trustdag.seals import seal, whole

if TYPE_CHECKING:
    from accelerate import Accelerator

FOLDER = ".checkpoints"
LOCK = "lock.json"
PREFIX = "checkpoint-"
ORPHAN_SECONDS = 60.0
"""How long a stage waits for the end of a training process whose launcher was killed."""


# --- Where ---


def folder_of(out: Path, key: str) -> Path:
    """The folder of a stage's checkpoints, by a hash of all inputs. Snakemake deletes outputs, so it is outside."""
    return out / FOLDER / key[:16]


def latest(folder: Path) -> Path | None:
    """The newest undamaged checkpoint of a stage, or None. Damaged ones are renamed, with a message."""
    for checkpoint in _numbered(folder):
        if whole(checkpoint, "training goes on from an earlier checkpoint, or begins anew"):
            return checkpoint
    return None


def latest_for_all(accelerator: "Accelerator", folder: Path) -> Path | None:
    """As `latest`, for several processes: the first process searches, and all get its result."""
    from accelerate.utils import broadcast_object_list

    chosen = [latest(folder) if accelerator.is_main_process else None]
    broadcast_object_list(chosen)
    return chosen[0]


def step_of(checkpoint: Path) -> int:
    """The optimizer step after which a checkpoint was written."""
    return int(checkpoint.name.removeprefix(PREFIX))


@contextmanager
def writing(folder: Path, step: int) -> Iterator[Path]:
    """Yields an empty folder that becomes the checkpoint of `step`."""
    partial = partial_folder(folder)
    partial.mkdir(parents=True)
    try:
        make_room(folder)
        yield partial
        keep(partial, folder, step)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def partial_folder(folder: Path) -> Path:
    """The folder of an incomplete checkpoint. It is the same for all processes and is cleared at the next start."""
    return folder / ".checkpoint.partial"


def make_room(folder: Path) -> None:
    """Removes all checkpoints but the newest before another is written, so that there are never more than two.

    A checkpoint is renamed before it is removed. So one that a kill leaves half removed is not reported as damaged.
    """
    for older in _numbered(folder)[1:]:
        shutil.rmtree(older.rename(folder / f".{older.name}.partial"))


def keep(written: Path, folder: Path, step: int) -> None:
    """Makes a written folder the checkpoint of a step: adds the logs so far, seals it and renames it.

    The previous checkpoint is kept in case that the newest is damaged.

    Args:
        written: The complete checkpoint, on the same file system as `folder`.
        folder: The folder of the stage's checkpoints.
        step: The optimizer step after which it was written.
    """
    for log in folder.glob("*.jsonl"):
        shutil.copyfile(log, written / log.name)
    seal(written)
    target = folder / f"{PREFIX}{step}"
    artifacts.remove(target)
    written.replace(target)
    artifacts.sync(folder)


def remove(folder: Path) -> None:
    """Removes a finished stage's checkpoints, and those of the stage with other settings unless a process uses them."""
    for sibling in [folder, *folder.parent.glob("*")]:
        if sibling.is_dir() and (sibling == folder or _holder(sibling) is None):
            shutil.rmtree(sibling)
    if folder.parent.is_dir() and not any(folder.parent.iterdir()):
        folder.parent.rmdir()


def _numbered(folder: Path) -> list[Path]:
    """Folders with the name of a checkpoint, the newest first."""
    named = [path for path in folder.glob(f"{PREFIX}*") if path.is_dir() and path.name[len(PREFIX) :].isdecimal()]
    return sorted(named, key=step_of, reverse=True)


# --- One writer ---


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Holds the lock on a stage's checkpoints.

    Removes the lock and the incomplete checkpoint of a process that was killed.

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
            artifacts.remove(partial)
        _clear_outputs(folder)
        yield
    finally:
        lock.unlink(missing_ok=True)


def _acquire(lock: Path) -> None:
    holder = _holder(lock.parent)
    give_up = time.monotonic() + ORPHAN_SECONDS
    while holder is not None and holder.is_orphan() and time.monotonic() < give_up:
        time.sleep(0.1)
        holder = _holder(lock.parent)
    if holder is not None:
        job = f", Slurm job {holder.slurm_job}" if holder.slurm_job else ""
        raise UserError(
            f"{lock}: process {holder.pid} on {holder.host}{job} is training this stage; wait for it or stop it "
            "(if it no longer runs, remove the file)"
        )
    lock.unlink(missing_ok=True)
    try:
        with lock.open("x", encoding="utf-8") as handle:
            handle.write(lock_text(Process.ours()))
    except FileExistsError:
        raise UserError(f"{lock}: another process has just started to train this stage; wait for it") from None


def lock_text(holder: Process) -> str:
    """The content of a process's lock."""
    content = holder.as_json()
    return f"{content}\n{sha256_text([content])}\n"


def _holder(folder: Path) -> Process | None:
    """The running process that has the lock on the checkpoints in `folder`, if there is one.

    A damaged lock has no holder: a kill interrupted its writing, or the file was changed.
    """
    try:
        text = (folder / LOCK).read_text(encoding="utf-8")
        holder = Process.from_json(text.partition("\n")[0])
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return holder if text == lock_text(holder) and holder.lives() else None


def _clear_outputs(folder: Path) -> None:
    """Removes incomplete outputs of the stage from any host. Called by the process that has the lock."""
    beside = list(folder.parent.iterdir()) if folder.parent.name == FOLDER else []
    if all(other == folder or _holder(other) is None for other in beside):
        for partial in folder.parent.parent.glob(".*.partial") if beside else ():
            artifacts.remove(partial)


# --- Signals ---


class StopRequest:
    """A flag that SIGTERM or SIGUSR1 sets. The training loop then saves a checkpoint and calls `leave`."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def leave(self, step: int) -> None:
        """Prints the saved step and exits with EXIT_RESUMABLE."""
        name = signal.Signals(self.signal or signal.SIGTERM).name
        log_line(saved_message(name, step))
        raise SystemExit(EXIT_RESUMABLE)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """While active, SIGTERM and SIGUSR1 set a request to stop at the end of the step, and do not kill the process."""
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
