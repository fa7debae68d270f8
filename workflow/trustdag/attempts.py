"""Why a job's earlier attempts failed, and what the next one asks for: more, only where more mends it.

`launch` writes one small file for each job that is running or has failed; a success removes it. `resources` reads it
when Snakemake submits the job again, in the same run or, after the main process was killed, in a later one.
"""

import re
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import ValidationError

from trustdag.artifacts import write_json
from trustdag.errors import UserError
from trustdag.settings import Section, explain

Kind = Literal["memory", "time", "gpu_memory", "interrupted", "killed", "transient", "error"]

TAIL = 20_000
"""Bytes at the end of a log in which the reason of a failure is looked for."""
RESUMABLE = 75
"""Exit code of a stage that saved a checkpoint because a signal asked it to stop."""
GPU_MEMORY = re.compile(r"CUDA out of memory|OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED")
HOST_MEMORY = re.compile(
    r"^MemoryError|DefaultCPUAllocator: (?:not enough memory|can't allocate)|Unable to allocate .* for an array"
    r"|Cannot allocate memory|std::bad_alloc|oom[-_ ]kill|exceeded (?:job |step )?memory limit",
    re.MULTILINE | re.IGNORECASE,
)
TRANSIENT = re.compile(
    r"uncorrectable ECC error|GPU has fallen off the bus|CUDA error: unspecified launch failure"
    r"|NCCL error: unhandled system error|Stale file handle|Connection (?:reset|refused|timed out)"
)


class Process(Section):
    """The launcher of a running attempt: on which host, and as which Slurm job, if any."""

    host: str
    pid: int
    started: str
    """Start of the process in clock ticks since boot, so that a reused id is not taken for it."""
    slurm_job: str | None = None


class Failure(Section):
    """How one attempt ended."""

    kind: Kind
    mem_mb: int
    """What it was given."""
    runtime: int
    """What it was given, in minutes."""
    message: str
    """One line for people."""


class Record(Section):
    """The attempts at one job since its last success."""

    running: Process | None = None
    failures: tuple[Failure, ...] = ()


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
    """Most memory that one process of it held."""
    tail: str
    """End of its log."""


def classify(ended: Ended, mem_mb: int, runtime: int) -> Kind:
    """Why an attempt failed. Only `memory` and `time` are mended by more memory or time."""
    if ended.warned or (ended.terminated and ended.seconds >= 0.9 * runtime * 60):
        return "time"
    if ended.terminated or ended.returncode == RESUMABLE:
        return "interrupted"
    if GPU_MEMORY.search(ended.tail):
        return "gpu_memory"
    if HOST_MEMORY.search(ended.tail) or (ended.returncode in (-9, 137) and ended.peak_mb >= 0.8 * mem_mb):
        return "memory"
    if ended.returncode in (-9, -15, 137, 143):
        return "killed"
    return "transient" if TRANSIENT.search(ended.tail) else "error"


def more_after(record: Record, mem_mb: int, runtime: int, longest: int) -> tuple[int, int]:
    """Memory and time for the next attempt: twice what ran out, never less than the estimate, time up to `longest`."""
    out_of_memory = [failure.mem_mb for failure in record.failures if failure.kind == "memory"]
    out_of_time = [failure.runtime for failure in record.failures if failure.kind == "time"]
    more_memory = max([mem_mb, *(2 * each for each in out_of_memory)])
    more_time = max([runtime, *(min(2 * each, longest) for each in out_of_time)])
    return more_memory, more_time


def hopeless(record: Record, attempt: int) -> Failure | None:
    """The failure that another attempt in the same run would only repeat: a bug, or a GPU that is too small."""
    last = record.failures[-1] if record.failures else None
    return last if attempt > 1 and last is not None and last.kind in ("error", "gpu_memory") else None


def path_of(results: str, rule: str, wildcards: tuple[str, ...]) -> Path:
    """Where the record of a job lies: one file for each rule and its wildcards."""
    return Path(results) / ".attempts" / rule / ("_".join(each.replace("/", "_") for each in wildcards) + ".json")


def read(path: Path) -> Record:
    """The record in a file, empty if there is none. Raises UserError naming the file if it is damaged."""
    try:
        return Record.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Record()
    except ValidationError as error:
        raise UserError(f"{explain(error, str(path))}; delete the file") from None


def write(path: Path, record: Record) -> None:
    """Writes a record, atomically."""
    write_json(path, record.model_dump(mode="json"))
