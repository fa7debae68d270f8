"""What a running job tells: its last line of progress, the memory it holds, and whether it still waits for a node."""

from dataclasses import dataclass
from pathlib import Path

from trustdag.errors import UserError
from trustdag.jobs import record as job_record
from trustdag.progress import Progress
from trustdag.terminal.run import StartedJob


@dataclass(frozen=True)
class Look:
    """A running job at one moment."""

    progress: Progress | None = None
    memory_mb: float = 0.0
    """Most memory that the attempt was seen to hold; 0 while nothing was seen."""
    waits: bool = False
    """It was submitted and has not begun."""


def look_at(job: StartedJob) -> Look:
    """How far a job is, from its log and its record."""
    if job.record is None:
        return Look(last_progress(job.log) if job.log else None)
    try:
        record = job_record.read(job.record)
    except UserError:  # a damaged record: the job ends with this error, and it is shown then
        return Look()
    if record.running is None:
        return Look(waits=True)
    return Look(last_progress(job.log) if job.log else None, record.held_mb)


def last_progress(log: Path) -> Progress | None:
    """The newest progress that the present attempt has written to its log."""
    for line in reversed(job_record.tail(log).splitlines()):  # of the last attempt alone
        if progress := Progress.parse(line):
            return progress
    return None


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log that are not empty."""
    return [line for line in job_record.tail(log).splitlines() if line.strip()][-count:]
