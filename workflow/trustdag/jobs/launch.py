"""Starts the command of a job as its allocation wants it, watches it, and writes down how it ended.

It is the parent of every command that a rule runs: one place for the processes of `accelerate launch`, for the warning
before the time limit, for an orphan that still runs the same job, and for the reason of a failure.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from trustdag.errors import UserError
from trustdag.jobs import processes
from trustdag.jobs import record as job_record
from trustdag.jobs.allocation import NO_LIMIT, Allocation, command_line, has_gpu, on_machine
from trustdag.jobs.nodes import WatchOfNodes
from trustdag.jobs.watch import Watch

WAITING = {"OMP_WAIT_POLICY": "passive"}
"""How the threads of a command wait for each other, unless the user's environment says otherwise: asleep. By default
they spin, and where other processes compute, each waits for one that is not running (docs/performance.md)."""
ORPHAN_SECONDS = 300
"""How long an orphan may take to save its checkpoint and end."""


def launch(record: Path, log: Path, attempt: int, asked: Allocation, command: Sequence[str]) -> int:
    """Runs `python -m trustdag COMMAND` to its end and returns its exit code.

    Raises UserError if the last attempt failed in a way that this one would repeat, or an orphan cannot be stopped.

    Args:
        record: the job's record, JSON.
        log: the job's log.
        attempt: Snakemake's number of the attempt, from 1.
        asked: what the rule asked for.
        command: arguments of `trustdag`.
    """
    given = on_machine(asked, processes.slurm_job() is not None, has_gpu())
    before = job_record.read(record)
    kept = _keep_log(record, log, before)
    if failure := job_record.repeats_failure(before, attempt):
        raise UserError(f"not tried again: {failure.message}")
    before = _settle(before, record)
    held = record.with_suffix(".held")
    try:
        line = command_line(given, command, held)
    except UserError as error:
        failure = job_record.Failure(kind="error", mem_mb=given.mem_mb, runtime=given.runtime, message=str(error))
        job_record.write(record, job_record.Record(failures=(*before.failures, failure)))
        raise
    ours = {"running": processes.Process.ours(), "mem_mb": given.mem_mb, "runtime": given.runtime}
    running = before.model_copy(update=ours)
    job_record.write(record, running)
    watch = _watch(
        given, held, lambda held_mb: job_record.write(record, running.model_copy(update={"held_mb": held_mb}))
    )
    with kept.open("a", encoding="utf-8") as handle:
        handle.write(_headline(attempt, given))
        handle.flush()
        code = watch.run(line, handle.fileno(), WAITING | given.environment())
    job_record.write(record, _after(before, watch, code, given, log))
    if code == 0:
        kept.replace(log)
    return _exit_code(code)


def _exit_code(code: int) -> int:
    """An exit code as a shell gives it, of one that is negative for a signal."""
    return code if code >= 0 else 128 - code


def _keep_log(record: Path, log: Path, before: job_record.Record) -> Path:
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


def _settle(record: job_record.Record, path: Path) -> job_record.Record:
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
    return job_record.close_silent_attempt(record)


def _after(before: job_record.Record, watch: Watch, code: int, given: Allocation, log: Path) -> job_record.Record:
    if code == 0:
        used = job_record.Usage(
            seconds=round(watch.seconds, 1),
            peak_mb=round(watch.peak_mb, 1),
            gpu=given.gpu,
            cpus=given.cpus,
            code=given.code,
            study=os.environ.get(job_record.ANNOUNCED, ""),
        )
        return job_record.Record(used=used)
    ended = job_record.Ended(code, watch.warned, watch.terminated, watch.seconds, watch.peak_mb, job_record.tail(log))
    kind = job_record.classify(ended, given.mem_mb, given.runtime)
    message = f"{job_record.MEANING[kind]} (exit code {_exit_code(code)}); see {log}"
    failure = job_record.Failure(kind=kind, mem_mb=given.mem_mb, runtime=given.runtime, message=message)
    return job_record.Record(failures=(*before.failures, failure))


def _watch(given: Allocation, held: Path, note: Callable[[float], None]) -> Watch:
    if given.nodes == 1:
        return Watch(given.warning(), note)
    return WatchOfNodes(given.warning(), note, held)


def _headline(attempt: int, given: Allocation) -> str:
    ours = processes.Process.ours()
    where = f"Slurm job {ours.slurm_job} on {ours.host}" if ours.slurm_job else ours.host
    limit = "no time limit" if given.runtime == NO_LIMIT else f"{given.runtime} minutes"
    asked = f"{given.cpus} CPUs, {given.gpu} GPUs, {given.mem_mb} MB, {limit}"
    asked = asked if given.nodes == 1 else f"{given.nodes} nodes, {asked}"
    return f"{job_record.HEADLINE}{attempt}, {time.strftime('%Y-%m-%d %H:%M:%S')}, {where}: {asked}\n"
