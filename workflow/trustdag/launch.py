"""Starts the command of a job as its allocation wants it, watches it, and writes down how it ended.

It is the parent of every command that a rule runs: one place for the processes of `accelerate launch`, for the warning
before the time limit, for an orphan that still runs the same job, and for the reason of a failure.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from trustdag import jobs, processes
from trustdag.errors import UserError

ORPHAN_SECONDS = 300
"""How long an orphan may take to save its checkpoint and end."""
SAMPLE_SECONDS = 1.0
"""Seconds between two looks at memory and time."""
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Allocation:
    """What the job was given."""

    cpus: int
    gpu: int
    mem_mb: int
    runtime: int
    """Minutes."""
    accelerate: str = "none"
    """Name of a file in config/accelerate, or `none`: the command is started as it is."""
    code: str = ""
    """Fingerprint of the code that the command runs, for the record."""

    def warning(self) -> float:
        """Seconds after the start at which training is told to save: a tenth before the limit, at most 10 minutes."""
        return 60 * self.runtime - min(600.0, 6.0 * self.runtime)


def launch(record: Path, log: Path, attempt: int, given: Allocation, command: Sequence[str]) -> int:
    """Runs `python -m trustdag COMMAND` to its end and returns its exit code.

    Raises UserError if the last attempt failed in a way that this one would repeat, or an orphan cannot be stopped.
    """
    before = jobs.read(record)
    kept = _keep_log(record, log, before)
    if failure := jobs.hopeless(before, attempt):
        raise UserError(f"not tried again: {failure.message}")
    before = _settle(before, record)
    try:
        line = start_command(given, command)
    except UserError as error:
        failure = jobs.Failure(kind="error", mem_mb=given.mem_mb, runtime=given.runtime, message=str(error))
        jobs.write(record, jobs.Record(failures=(*before.failures, failure)))
        raise
    ours = {"running": processes.Process.ours(), "mem_mb": given.mem_mb, "runtime": given.runtime}
    running = before.model_copy(update=ours)
    jobs.write(record, running)
    with kept.open("a", encoding="utf-8") as handle:
        handle.write(_headline(attempt, given))
        handle.flush()
        watch = Watch(given, lambda held: jobs.write(record, running.model_copy(update={"held_mb": held})))
        code = watch.run(line, handle.fileno(), environment(given))
    jobs.write(record, _after(before, watch, code, given, log))
    if code == 0:
        kept.replace(log)
    return code if code >= 0 else 128 - code


def start_command(given: Allocation, command: Sequence[str]) -> list[str]:
    """The command line: plain Python, or `accelerate launch` with a process on each GPU of the allocation."""
    if given.accelerate == "none" or given.gpu == 0:
        return [sys.executable, "-m", "trustdag", *command]
    config = ROOT / "config" / "accelerate" / f"{given.accelerate}.yaml"
    if not config.is_file():
        raise UserError(f"{config}: no such file; resources name it as `accelerate`")
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    return [*launcher, "--num_processes", str(max(1, given.gpu)), "-m", "trustdag", *command]


def environment(given: Allocation) -> dict[str, str]:
    """The environment of the command: as many threads as CPU cores for each process."""
    each = str(max(1, given.cpus // max(1, given.gpu)))
    return os.environ | {"OMP_NUM_THREADS": each, "MKL_NUM_THREADS": each, "PYTHONUNBUFFERED": "1"}


@dataclass
class Watch:
    """Looks after a running command: its memory, its time limit, and signals that are meant for it."""

    given: Allocation
    note: Callable[[float], None]
    """Called with the memory held, in MB, each time it has grown."""
    warned: bool = False
    terminated: bool = False
    seconds: float = 0.0
    peak_mb: float = 0.0
    noted_mb: float = 0.0
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def run(self, command: list[str], output: int, environment: dict[str, str]) -> int:
        """Runs the command to its end; the exit code is negative for a signal, as subprocess gives it."""
        previous = {
            each: signal.signal(each, self._forward) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
        }
        begin = time.monotonic()
        try:
            # A session of its own: signals reach the training processes from us, once, and not from a terminal.
            self._child = subprocess.Popen(
                command, stdout=output, stderr=output, env=environment, start_new_session=True
            )
            while True:
                try:
                    return self._child.wait(SAMPLE_SECONDS)
                except subprocess.TimeoutExpired:
                    self._look(time.monotonic() - begin)
        finally:
            self.seconds = time.monotonic() - begin
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _look(self, seconds: float) -> None:
        family = self._family()
        self.peak_mb = max(self.peak_mb, sum(map(processes.memory_mb, family)))
        if self.peak_mb > 1.1 * self.noted_mb:
            self.noted_mb = self.peak_mb
            self.note(self.peak_mb)
        if seconds >= self.given.warning() and not self.warned:
            for pid in family:
                # Only what has a checkpoint to save listens to this signal; the others are better left to finish.
                if processes.catches(pid, signal.SIGUSR1) and _is_ours(processes.arguments(pid)):
                    self.warned = True
                    processes.send(pid, signal.SIGUSR1)

    def _forward(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.terminated = True
        self._tell(signal.SIGTERM)

    def _tell(self, number: signal.Signals) -> None:
        """Sends a signal to the processes that run our package: `accelerate launch` would end before they saved."""
        family = self._family()
        ranks = [pid for pid in family if _is_ours(processes.arguments(pid))]
        for pid in ranks or family:
            processes.send(pid, number)

    def _family(self) -> list[int]:
        return [] if self._child is None else [self._child.pid, *processes.descendants(self._child.pid)]


def _keep_log(record: Path, log: Path, before: jobs.Record) -> Path:
    """The file that attempts write to, to which the job's log is a link until one has succeeded.

    Snakemake deletes a job's log before each attempt; beside the record, what even an attempt that died without a word
    had said stays. So the log holds all attempts since the last success, each under a line that says where it ran.
    """
    kept = record.with_suffix(".log")
    for folder in (kept.parent, log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    if before.running is None and not before.failures:
        kept.unlink(missing_ok=True)
    kept.touch()
    log.unlink(missing_ok=True)
    log.symlink_to(os.path.relpath(kept, log.parent))
    return kept


def _is_ours(arguments: list[str]) -> bool:
    """Whether a command line is `python -m trustdag ...`, and not the launcher that starts it."""
    return arguments[1:3] == ["-m", "trustdag"] or arguments[1:4] == ["-u", "-m", "trustdag"]


def _settle(record: jobs.Record, path: Path) -> jobs.Record:
    """The record once nobody runs the job any more: an orphan is stopped, a death without a word is written down."""
    holder = record.running
    if holder is None:
        return record
    if not holder.stop(ORPHAN_SECONDS):
        job = f"Slurm job {holder.slurm_job}" if holder.slurm_job else f"process {holder.pid} on {holder.host}"
        raise UserError(
            f"{job} still runs this job and does not end; stop it, then start again"
            f" (if it is certainly gone, delete {path})"
        )
    return jobs.settled(record)


def _after(before: jobs.Record, watch: Watch, code: int, given: Allocation, log: Path) -> jobs.Record:
    if code == 0:
        used = jobs.Usage(
            seconds=round(watch.seconds, 1),
            peak_mb=round(watch.peak_mb, 1),
            gpu=given.gpu,
            cpus=given.cpus,
            code=given.code,
            study=os.environ.get(jobs.ANNOUNCED, ""),
        )
        return jobs.Record(used=used)
    ended = jobs.Ended(code, watch.warned, watch.terminated, watch.seconds, watch.peak_mb, jobs.tail(log))
    kind = jobs.classify(ended, given.mem_mb, given.runtime)
    message = f"{jobs.MEANING[kind]} (exit code {code}); see {log}"
    failure = jobs.Failure(kind=kind, mem_mb=given.mem_mb, runtime=given.runtime, message=message)
    return jobs.Record(failures=(*before.failures, failure))


def _headline(attempt: int, given: Allocation) -> str:
    ours = processes.Process.ours()
    where = f"Slurm job {ours.slurm_job} on {ours.host}" if ours.slurm_job else ours.host
    asked = f"{given.cpus} CPUs, {given.gpu} GPUs, {given.mem_mb} MB, {given.runtime} minutes"
    return f"--- attempt {attempt}, {time.strftime('%Y-%m-%d %H:%M:%S')}, {where}: {asked}\n"
