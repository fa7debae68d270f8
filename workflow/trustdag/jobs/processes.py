"""Processes and Slurm jobs: their identity, whether they still run, their memory, and how to stop them."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple, Self

from trustdag.settings import Section

WITH_PROCESSES = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING")
"""States of a Slurm job in which its processes may still write. A job that waits in the queue has no processes."""
PR_SET_PDEATHSIG = 1
"""From the kernel's prctl.h."""

SLURM_SECONDS = 60
"""Timeout of a query to Slurm, in seconds."""


class Process(Section):
    """A process that can be recognized later, on this host or as a Slurm job."""

    host: str
    pid: int
    started: str
    """Its start in clock ticks since boot, which distinguishes it from a later process with the same id."""
    slurm_job: str | None = None

    @classmethod
    def ours(cls) -> Self:
        """This process."""
        pid = os.getpid()
        return cls(host=socket.gethostname(), pid=pid, started=started(pid) or "", slurm_job=slurm_job())

    def lives(self) -> bool:
        """Whether it still runs. A process of another host outside Slurm cannot be checked and counts as running."""
        if self.host == socket.gethostname():
            return started(self.pid) == self.started
        if self.slurm_job is None:
            return True
        return self.slurm_job != slurm_job() and slurm_job_lives(self.slurm_job)

    def is_orphan(self) -> bool:
        """Whether it runs on this host and its parent has ended. It will end soon too (see `end_with_parent`)."""
        if self.host != socket.gethostname() or not self.lives():
            return False
        fields = _stat(self.pid)
        return fields is not None and int(fields[1]) == 1

    def stop(self, seconds: float) -> bool:
        """Asks the process to end and waits. Returns whether it has ended.

        A Slurm job other than the present one is cancelled even if it waits in the queue, because it would start later.
        """
        if self.slurm_job not in (None, slurm_job()) and shutil.which("scancel") is not None:
            subprocess.run(["scancel", str(self.slurm_job)], capture_output=True, check=False)  # noqa: S607
        elif self.host == socket.gethostname() and self.lives():
            send(self.pid, signal.SIGTERM)
        else:  # it has ended, or cannot be reached: waiting would change nothing
            return not self.lives()
        deadline = time.monotonic() + seconds
        while self.lives() and time.monotonic() < deadline:
            time.sleep(1)
        return not self.lives()


def started(pid: int) -> str | None:
    """The start of a process in clock ticks since boot. None if it has ended."""
    fields = _stat(pid)
    return None if fields is None or fields[0] == "Z" else fields[19]


def slurm_job() -> str | None:
    """The Slurm job of this process. Snakemake removes SLURM_* from a job's environment, so ancestors are read too."""
    if "SLURM_JOB_ID" in os.environ:
        return os.environ["SLURM_JOB_ID"]
    pid = os.getppid()
    while pid > 1:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return None
        for entry in environment:
            if entry.startswith(b"SLURM_JOB_ID="):
                return entry.partition(b"=")[2].decode()
        fields = _stat(pid)
        if fields is None:
            return None
        pid = int(fields[1])
    return None


def slurm_job_lives(job: str) -> bool:
    """Whether a Slurm job may have processes; True if Slurm is not reachable."""
    if shutil.which("squeue") is None:
        return True
    command = ["squeue", "-h", "-o", "%T", "-j", job]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SLURM_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    if done.returncode:
        return "Invalid job id" not in done.stderr
    return any(state in WITH_PROCESSES for state in done.stdout.split())


def signal_steps(signal_name: str) -> bool:
    """Sends a signal through Slurm to every step of this job, not to the batch script. Returns whether it accepted."""
    command = ["scancel", f"--signal={signal_name}", str(slurm_job())]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class SlurmEnding(NamedTuple):
    """A job in Slurm's accounting: the states of the job and its steps, and the peak memory of a step."""

    states: tuple[str, ...] = ()
    """The job's own state first, such as `TIMEOUT`."""
    peak_mb: float = 0.0


@cache
def slurm_ending(job: str) -> SlurmEnding:
    """How a job ended; empty if the accounting is not reachable. The result is cached, because a job ends once."""
    if shutil.which("sacct") is None:
        return SlurmEnding()
    command = ["sacct", "-nP", "--units=M", "-o", "State,MaxRSS", "-j", job]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SLURM_SECONDS)
    except subprocess.TimeoutExpired:
        return SlurmEnding()
    lines = [line.split("|") for line in done.stdout.splitlines() if "|" in line] if done.returncode == 0 else []
    states = tuple(state.split(" ")[0] for state, _ in lines)
    return SlurmEnding(states, max((float(peak[:-1]) for _, peak in lines if peak.endswith("M")), default=0.0))


def ancestors_of_run() -> dict[int, str]:
    """The parent of this process and its ancestors up to the first Snakemake, with their start times.

    The shell and the terminal above Snakemake are not included, because they may be closed.
    """
    line: list[int] = []
    length, pid = 1, os.getppid()
    while pid > 1 and (fields := _stat(pid)) is not None:
        line.append(pid)
        if is_snakemake(arguments(pid)):
            length = len(line)
        pid = int(fields[1])
    return {pid: started(pid) or "" for pid in line[:length]}


def is_snakemake(command: list[str]) -> bool:
    """Whether a command line is Snakemake's: `snakemake ...`, or Python that runs it."""
    program, first, second, *_ = [*command, "", "", ""]
    if Path(program).name.startswith("python"):
        return Path(first).name == "snakemake" or (first, second) == ("-m", "snakemake")
    return Path(program).name == "snakemake"


def end_with_parent() -> None:
    """Makes the kernel send SIGTERM to this process when its parent ends. To call in a new process before `exec`."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def descendants(pid: int) -> list[int]:
    """All running descendants of `pid`, parents before children."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None and fields[0] != "Z":
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    family = [pid]
    for parent in family:
        family.extend(children.get(parent, []))
    return family[1:]


def memory_mb(pid: int) -> float:
    """Resident memory of a process in MB; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError):
        return 0.0


def arguments(pid: int) -> list[str]:
    """The command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (number - 1) & 1)


def send(pid: int, number: signal.Signals) -> None:
    """Sends a signal to a process if it still runs."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name: state, parent, ..., start time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
