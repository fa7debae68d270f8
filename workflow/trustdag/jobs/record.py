"""The record of a job: what it used when it was done, or why it failed and what the next attempt asks for.

`launch` writes one small file for each job. `resources` reads it when Snakemake submits the job again, in the same run
or, after the main process was killed, in a later one; `pending` takes from it what a job of the same kind will cost.
"""

import re
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import ValidationError

from trustdag.artifacts import write_json
from trustdag.errors import UserError
from trustdag.jobs.processes import Process, SlurmEnding, slurm_ending, slurm_job
from trustdag.jobs.resumable import EXIT_RESUMABLE, says_saved
from trustdag.settings import Section, explain

Kind = Literal["memory", "time", "gpu_memory", "disk", "interrupted", "killed", "transient", "error"]

ANNOUNCED = "TRUSTDAG_STUDY"
"""The environment variable by which jobs know the study of the run that started them, by its digest."""
HEADLINE = "--- attempt "
"""What the line starts with that stands above each attempt in a log."""
TAIL = 20_000
"""Bytes at the end of a log in which the reason of a failure is looked for."""
GPU_MEMORY = re.compile(r"CUDA out of memory|OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED")
HOST_MEMORY = re.compile(
    r"^MemoryError|DefaultCPUAllocator: (?:not enough memory|can't allocate)|Unable to allocate .* for an array"
    r"|Cannot allocate memory|std::bad_alloc|oom[-_ ]kill|exceeded (?:job |step )?memory limit",
    re.MULTILINE | re.IGNORECASE,
)
DISK = re.compile(r"^trustdag: no room is left on the disk", re.MULTILINE)
TRANSIENT = re.compile(
    r"uncorrectable ECC error|GPU has fallen off the bus|CUDA error: unspecified launch failure"
    r"|NCCL error: unhandled system error|Stale file handle|Connection (?:reset|refused|timed out)"
)
FROM_OUTSIDE = ("REQUEUED", "CANCELLED", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "REVOKED")
"""States of a Slurm job that say that it was not its own doing."""

MEANING: dict[Kind, str] = {
    "memory": "out of memory; the next attempt gets twice as much",
    "time": "out of time; the next attempt goes on from the last checkpoint with a longer limit",
    "gpu_memory": "the GPU's memory is too small; lower device_batch_size or batch_tokens, turn on"
    " gradient_checkpointing, or ask for more GPUs in `resources`",
    "disk": "no room is left on the disk; make room, then start again: what was finished is untouched",
    "interrupted": "stopped from outside; the next attempt goes on where it was: on Slurm by itself, else start again",
    "killed": "killed from outside; the next attempt goes on where it was: on Slurm by itself, else start again",
    "transient": "the machine failed, not the program",
    "error": "an error that another attempt would only repeat",
}
"""What each kind of failure means, for people."""


class Failure(Section):
    """How one attempt ended."""

    kind: Kind
    mem_mb: int
    """What it was given."""
    runtime: int
    """What it was given, in minutes; 0 for no limit."""
    message: str
    """One line for people."""


class Usage(Section):
    """What a job that was done used."""

    seconds: float
    peak_mb: float
    """Most memory of the host that all its processes held at once."""
    gpu: int
    cpus: int
    code: str = ""
    """Fingerprint of the code that it ran (see `fingerprint`)."""
    study: str = ""
    """Digest of the study that it was part of; several, separated by commas, where a run held several."""


class Record(Section):
    """One job: the attempt that runs, the failures since its last success, and what that success used."""

    running: Process | None = None
    held_mb: float = 0.0
    """Most memory that the running attempt was seen to hold: the trace it leaves when it is killed without a word."""
    mem_mb: int = 0
    """Memory that the running attempt was given."""
    runtime: int = 0
    """Its time limit, in minutes; 0 for none."""
    failures: tuple[Failure, ...] = ()
    used: Usage | None = None


class Ended(NamedTuple):
    """What is seen of an attempt when it ends."""

    returncode: int
    """As subprocess gives it: negative for a signal."""
    warned: bool
    """It was told to save and stop because its time limit was near."""
    terminated: bool
    """The launcher was told to stop by somebody else (scancel, preemption, the time limit, Ctrl-C)."""
    seconds: float
    peak_mb: float
    """Most memory that its processes held at once."""
    tail: str
    """End of its log."""


def classify(ended: Ended, mem_mb: int, runtime: int) -> Kind:
    """Why an attempt failed. Only `memory` and `time` are mended by more memory or time.

    Args:
        ended: what was seen of the attempt's end.
        mem_mb: memory that the job was given, MB.
        runtime: time that it was given, minutes.
    """
    saved = ended.returncode in (EXIT_RESUMABLE, -15, 143) or says_saved(ended.tail)
    if (ended.warned and saved) or (ended.terminated and 0 < 0.9 * runtime * 60 <= ended.seconds):
        return "time"
    if ended.terminated or saved:
        return "interrupted"
    if GPU_MEMORY.search(ended.tail):
        return "gpu_memory"
    if HOST_MEMORY.search(ended.tail) or (ended.returncode in (-9, 137) and ended.peak_mb >= 0.8 * mem_mb):
        return "memory"
    if ended.returncode in (-9, 137):
        return "killed"
    if DISK.search(ended.tail):
        return "disk"
    return "transient" if TRANSIENT.search(ended.tail) else "error"


def classify_silent(ending: SlurmEnding, held_mb: float, mem_mb: int) -> Kind:
    """Why an attempt ended whose launcher could not say it: from Slurm's accounting, and the memory last seen.

    Args:
        ending: the end in Slurm's accounting.
        held_mb: memory last seen, MB.
        mem_mb: memory that the job was given, MB.
    """
    if "TIMEOUT" in ending.states:
        return "time"
    if "OUT_OF_MEMORY" in ending.states:
        return "memory"
    if ending.states[:1] and ending.states[0] in FROM_OUTSIDE:
        return "killed"
    return "memory" if max(held_mb, ending.peak_mb) >= 0.8 * mem_mb > 0 else "killed"


def close_silent_attempt(record: Record) -> Record:
    """A record whose running attempt has died without a word: with the reason, as far as it left one."""
    if record.running is None:
        return record
    job = record.running.slurm_job
    if job is not None and job == slurm_job():  # we are that job, started again
        ending = SlurmEnding(("REQUEUED",))
    else:
        ending = slurm_ending(job) if job is not None else SlurmEnding()
    failure = Failure(
        kind=classify_silent(ending, record.held_mb, record.mem_mb),
        mem_mb=record.mem_mb,
        runtime=record.runtime,
        message=f"ended without a word ({', '.join(dict.fromkeys(ending.states)) or 'killed'})",
    )
    return Record(failures=(*record.failures, failure))


def more_after(record: Record, mem_mb: int, runtime: int, longest: int) -> tuple[int, int]:
    """Memory and time for the next attempt: twice what ran out, never less than the estimate, time up to `longest`.

    Args:
        record: the job's record, with its failures.
        mem_mb: the estimate of memory, MB.
        runtime: the estimate of time, minutes.
        longest: the longest time that may be asked for, minutes.

    Returns:
        Memory in MB and time in minutes.
    """
    out_of_memory = [failure.mem_mb for failure in record.failures if failure.kind == "memory"]
    out_of_time = [failure.runtime for failure in record.failures if failure.kind == "time"]
    more_memory = max([mem_mb, *(2 * each for each in out_of_memory)])
    more_time = max([runtime, *(min(2 * each, longest) for each in out_of_time)])
    return more_memory, more_time


def repeats_failure(record: Record, attempt: int) -> Failure | None:
    """The failure that another attempt in the same run would only repeat: a bug, or a GPU that is too small."""
    last = record.failures[-1] if record.failures else None
    return last if attempt > 1 and last is not None and last.kind in ("error", "gpu_memory") else None


def tail(log: Path) -> str:
    """The end of what the last attempt wrote into a log; empty if there is none."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - TAIL))
            end = handle.read().decode("utf-8", errors="replace")
            return end[max(0, end.rfind(HEADLINE)) :]
    except FileNotFoundError:
        return ""


def read(path: Path) -> Record:
    """The record in a file, empty if there is none. Raises UserError naming the file if it is damaged."""
    try:
        return Record.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Record()
    except ValidationError as error:
        raise UserError(f"{explain(error, str(path))}; delete the file") from None
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: damaged ({error}); delete it") from None


def write(path: Path, record: Record) -> None:
    """Writes a record, atomically."""
    write_json(path, record.model_dump(mode="json"))
