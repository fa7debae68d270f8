"""Status of a running job: its last line of progress, its memory, and whether it still waits for a node."""

from dataclasses import dataclass
from pathlib import Path

from trustdag.errors import UserError
from trustdag.jobs import record as job_record
from trustdag.progress import Progress
from trustdag.terminal.run import StartedJob


@dataclass(frozen=True)
class Look:
    """The status of a running job at one moment."""

    progress: Progress | None = None
    memory_mb: float = 0.0
    """Highest measured memory of the attempt; 0 before the first measurement."""
    waits: bool = False
    """Whether it was submitted and has not started."""


def look_at(job: StartedJob) -> Look:
    """A job's status, read from its log and its record."""
    if job.record is None:
        return Look(last_progress(job.log) if job.log else None)
    try:
        record = job_record.read(job.record)
    except UserError:  # a damaged record: the job itself fails with this error, which is shown then
        return Look()
    if record.running is None:
        return Look(waits=True)
    return Look(last_progress(job.log) if job.log else None, record.held_mb)


def last_progress(log: Path) -> Progress | None:
    """The latest progress in the log of the present attempt."""
    for line in reversed(job_record.tail(log).splitlines()):
        if progress := Progress.parse(line):
            return progress
    return None
