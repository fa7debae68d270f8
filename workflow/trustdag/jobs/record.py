"""The record of a job: the resources that it used, or why it failed and what the next attempt requests.

`launch` writes one small file for each job. `resources` reads it when Snakemake submits the job again, in the same run
or, after the main process was killed, in a later one. `pending` estimates from it the cost of similar jobs.
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
"""The environment variable with the digest of the study, for the jobs of a run."""
HEADLINE = "--- attempt "
"""Start of the line above each attempt in a log."""
TAIL = 20_000
"""Bytes at the end of a log that are searched for the reason of a failure."""
LAST_LINES = 12
"""Lines at the end of a failed job's log that are shown."""
GPU_MEMORY = re.compile(r"CUDA out of memory|OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED")
HOST_MEMORY = re.compile(
    r"^MemoryError|DefaultCPUAllocator: (?:not enough memory|can't allocate)|Unable to allocate .* for an array"
    r"|Cannot allocate memory|std::bad_alloc|oom[-_ ]kill|exceeded (?:job |step )?memory limit",
    re.MULTILINE | re.IGNORECASE,
)
DISK = re.compile(r"^trustdag: no room is left on the disk", re.MULTILINE)
KILLED = re.compile(r"Signal 9 \(SIGKILL\) received by PID")
"""In the launcher's report on several processes of which one was killed; its own exit code is another."""
LAUNCHER = re.compile(r"^[EW]\d{4} .*torch/distributed/elastic/", re.MULTILINE)
"""Start of that report, which follows the lines of the processes."""
TRANSIENT = re.compile(
    r"uncorrectable ECC error|GPU has fallen off the bus|CUDA error: unspecified launch failure"
    r"|NCCL error: unhandled system error|Stale file handle|Connection (?:reset|refused|timed out)"
)
FROM_OUTSIDE = ("REQUEUED", "CANCELLED", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "REVOKED")
"""States of a Slurm job that was ended from outside."""

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
"""The message for each kind of failure."""


class Failure(Section):
    """How one attempt ended."""

    kind: Kind
    mem_mb: int
    """Memory that was allocated to it."""
    runtime: int
    """Its time limit, in minutes; 0 for no limit."""
    message: str
    """One line that the user sees."""


class Usage(Section):
    """The resources that a successful job used."""

    seconds: float
    peak_mb: float
    """Peak of the host memory of all its processes together."""
    gpu: int
    cpus: int
    processor_seconds: float | None = None
    """Processor time of all its processes; None where they ran on several nodes."""
    code: str = ""
    """Fingerprint of the code that it ran (see `fingerprint`)."""
    study: str = ""
    """Digest of its study; several digests, separated by commas, for a run of several studies."""


class Record(Section):
    """One job: the running attempt, the failures since its last success, and the resources of that success."""

    running: Process | None = None
    held_mb: float = 0.0
    """Highest measured memory of the running attempt. It is known even if the attempt is killed without a message."""
    mem_mb: int = 0
    """Memory that was allocated to the running attempt."""
    runtime: int = 0
    """Its time limit, in minutes; 0 for none."""
    failures: tuple[Failure, ...] = ()
    used: Usage | None = None


class Ended(NamedTuple):
    """The facts that are known when an attempt ends."""

    returncode: int
    """As subprocess gives it: negative for a signal."""
    warned: bool
    """Whether the launcher asked it to save and stop because its time limit was near."""
    terminated: bool
    """Whether the launcher received a signal to stop (scancel, preemption, the time limit, Ctrl-C)."""
    seconds: float
    peak_mb: float
    """Peak memory of all its processes together."""
    tail: str
    """End of its log."""


def classify(ended: Ended, mem_mb: int, runtime: int) -> Kind:
    """Why an attempt failed. More memory or time helps only against `memory` and `time`.

    Args:
        ended: facts about the attempt's end.
        mem_mb: memory that was allocated to the job, MB.
        runtime: its time limit, minutes.
    """
    saved = ended.returncode in (EXIT_RESUMABLE, -15, 143) or says_saved(ended.tail)
    if (ended.warned and saved) or (ended.terminated and 0 < 0.9 * runtime * 60 <= ended.seconds):
        return "time"
    if ended.terminated or saved:
        return "interrupted"
    if GPU_MEMORY.search(ended.tail):
        return "gpu_memory"
    killed = ended.returncode in (-9, 137) or KILLED.search(ended.tail) is not None
    if HOST_MEMORY.search(ended.tail) or (killed and ended.peak_mb >= 0.8 * mem_mb):
        return "memory"
    if killed:
        return "killed"
    if DISK.search(ended.tail):
        return "disk"
    return "transient" if TRANSIENT.search(ended.tail) else "error"


def classify_silent(ending: SlurmEnding, held_mb: float, mem_mb: int) -> Kind:
    """Why an attempt ended whose launcher was killed: from Slurm's accounting and the last measured memory.

    Args:
        ending: the end in Slurm's accounting.
        held_mb: last measured memory, MB.
        mem_mb: memory that was allocated to the job, MB.
    """
    if "TIMEOUT" in ending.states:
        return "time"
    if "OUT_OF_MEMORY" in ending.states:
        return "memory"
    if ending.states[:1] and ending.states[0] in FROM_OUTSIDE:
        return "killed"
    return "memory" if max(held_mb, ending.peak_mb) >= 0.8 * mem_mb > 0 else "killed"


def close_silent_attempt(record: Record) -> Record:
    """The record with a failure in place of a running attempt that was killed without a message."""
    if record.running is None:
        return record
    job = record.running.slurm_job
    if job is not None and job == slurm_job():  # this process is that job, requeued
        ending = SlurmEnding(("REQUEUED",))
    else:
        ending = slurm_ending(job) if job is not None else SlurmEnding()
    failure = Failure(
        kind=classify_silent(ending, record.held_mb, record.mem_mb),
        mem_mb=record.mem_mb,
        runtime=record.runtime,
        message=f"ended without a message ({', '.join(dict.fromkeys(ending.states)) or 'killed'})",
    )
    return Record(failures=(*record.failures, failure))


def more_after(record: Record, mem_mb: int, runtime: int, longest: int) -> tuple[int, int]:
    """Memory and time for the next attempt: twice what was too little, at least the estimate, time at most `longest`.

    Args:
        record: the job's record, with its failures.
        mem_mb: the estimate of memory, MB.
        runtime: the estimate of time, minutes.
        longest: the longest time that may be requested, minutes.

    Returns:
        Memory in MB and time in minutes.
    """
    out_of_memory = [failure.mem_mb for failure in record.failures if failure.kind == "memory"]
    out_of_time = [failure.runtime for failure in record.failures if failure.kind == "time"]
    more_memory = max([mem_mb, *(2 * memory for memory in out_of_memory)])
    more_time = max([runtime, *(min(2 * minutes, longest) for minutes in out_of_time)])
    return more_memory, more_time


def repeats_failure(record: Record, attempt: int) -> Failure | None:
    """The failure that another attempt in the same run would repeat: an error, or a GPU that is too small."""
    last = record.failures[-1] if record.failures else None
    return last if attempt > 1 and last is not None and last.kind in ("error", "gpu_memory") else None


def tail(log: Path) -> str:
    """The end of the last attempt's part of a log; empty if there is no log."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - TAIL))
            end = handle.read().decode("utf-8", errors="replace")
            return end[max(0, end.rfind(HEADLINE)) :]
    except FileNotFoundError:
        return ""


def last_lines(log: Path) -> list[str]:
    """The last lines of the last attempt's part of a log, without empty ones; LAST_LINES at most.

    Of several processes they are those of the processes themselves: the launcher's report says nothing of the reason.
    """
    of_processes = LAUNCHER.split(tail(log), maxsplit=1)[0]
    return [line for line in of_processes.splitlines() if line.strip()][-LAST_LINES:]


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
