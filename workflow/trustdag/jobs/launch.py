"""Starts the command of a job with its allocation, watches it, and records how it ended.

It is the parent process of every command that a rule runs. It starts `accelerate launch`, warns the command before the
time limit, stops an orphan that still runs the same job, and finds the reason of a failure.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from trustdag.errors import UserError
from trustdag.jobs import gpus, processes
from trustdag.jobs import record as job_record
from trustdag.jobs.allocation import NO_LIMIT, Allocation, command_line, on_machine
from trustdag.jobs.nodes import WatchOfNodes
from trustdag.jobs.watch import Watch

WAITING = {"OMP_WAIT_POLICY": "passive"}
"""Waiting threads of a command sleep, unless the user's environment sets this variable. By default they spin, which is
slow if other processes use the cores (docs/performance.md)."""
ORPHAN_SECONDS = 300
"""How long an orphan may take to save its checkpoint and end."""


def launch(
    record: Path, log: Path, attempt: int, asked: Allocation, command: Sequence[str], jobs_per_gpu: int = 1
) -> int:
    """Runs `python -m trustdag COMMAND` to its end and returns its exit code. It waits until its GPUs are free.

    Raises UserError if the last attempt failed in a way that this one would repeat, or an orphan cannot be stopped.

    Args:
        record: the job's record, JSON.
        log: the job's log.
        attempt: Snakemake's number of the attempt, from 1.
        asked: what the rule asked for.
        command: arguments of `trustdag`.
        jobs_per_gpu: jobs that may share a GPU of this machine.
    """
    slurm_job, names = processes.slurm_job(), gpus.on_machine()
    allocation = on_machine(asked, slurm_job is not None, len(names))
    before = job_record.read(record)
    kept = _keep_log(record, log, before)
    if failure := job_record.repeats_failure(before, attempt):
        raise UserError(f"not tried again: {failure.message}")
    before = _settle(before, record)
    held = record.with_suffix(".held")
    try:
        line = command_line(allocation, command, held)
    except UserError as error:
        failure = _failure("error", allocation, str(error))
        job_record.write(record, job_record.Record(failures=(*before.failures, failure)))
        raise
    with gpus.visible(allocation.gpu, jobs_per_gpu, names, allocation.nodes, slurm_job) as devices:
        attempt_facts = {
            "running": processes.Process.ours(),
            "mem_mb": allocation.mem_mb,
            "runtime": allocation.runtime,
        }
        running = before.model_copy(update=attempt_facts)
        job_record.write(record, running)
        watch = _watch(
            allocation, held, lambda held_mb: job_record.write(record, running.model_copy(update={"held_mb": held_mb}))
        )
        with kept.open("a", encoding="utf-8") as handle:
            handle.write(_headline(attempt, allocation))
            handle.flush()
            code = watch.run(line, handle.fileno(), WAITING | allocation.environment() | devices)
    job_record.write(record, _after(before, watch, code, allocation, log))
    if code == 0:
        kept.replace(log)
    return _exit_code(code)


def _exit_code(code: int) -> int:
    """A shell's exit code, from one that is negative for a signal."""
    return code if code >= 0 else 128 - code


def _keep_log(record: Path, log: Path, before: job_record.Record) -> Path:
    """The file that attempts write to. The job's log is a link to it until an attempt succeeds.

    Snakemake deletes a job's log before each attempt, but not this file next to the record. So it contains the output
    of all attempts since the last success, also of killed ones, each below a headline with host and resources.
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
    """Stops an orphan of the job, if there is one, and records an attempt that was killed without a message."""
    holder = record.running
    if holder is None:
        return record
    if not holder.stop(ORPHAN_SECONDS):
        job = f"Slurm job {holder.slurm_job}" if holder.slurm_job else f"process {holder.pid} on {holder.host}"
        raise UserError(
            f"{job} still runs this job and does not end; stop it, then start again"
            f" (if it no longer runs, delete {path})"
        )
    return job_record.close_silent_attempt(record)


def _after(before: job_record.Record, watch: Watch, code: int, allocation: Allocation, log: Path) -> job_record.Record:
    if code == 0:
        used = job_record.Usage(
            seconds=round(watch.seconds, 1),
            peak_mb=round(watch.peak_mb, 1),
            gpu=allocation.gpu,
            cpus=allocation.cpus,
            processor_seconds=round(watch.processor_seconds, 1) if allocation.nodes == 1 else None,
            code=allocation.code,
            study=os.environ.get(job_record.ANNOUNCED, ""),
        )
        return job_record.Record(used=used)
    ended = job_record.Ended(code, watch.warned, watch.terminated, watch.seconds, watch.peak_mb, job_record.tail(log))
    kind = job_record.classify(ended, allocation.mem_mb, allocation.runtime)
    message = f"{job_record.MEANING[kind]} (exit code {_exit_code(code)}); see {log}"
    return job_record.Record(failures=(*before.failures, _failure(kind, allocation, message)))


def _failure(kind: job_record.Kind, allocation: Allocation, message: str) -> job_record.Failure:
    return job_record.Failure(kind=kind, mem_mb=allocation.mem_mb, runtime=allocation.runtime, message=message)


def _watch(allocation: Allocation, held: Path, note: Callable[[float], None]) -> Watch:
    if allocation.nodes == 1:
        return Watch(allocation.warning(), note)
    return WatchOfNodes(allocation.warning(), note, held)


def _headline(attempt: int, allocation: Allocation) -> str:
    ours = processes.Process.ours()
    where = f"Slurm job {ours.slurm_job} on {ours.host}" if ours.slurm_job else ours.host
    limit = "no time limit" if allocation.runtime == NO_LIMIT else f"{allocation.runtime} minutes"
    granted = f"{allocation.cpus} CPUs, {allocation.gpu} GPUs, {allocation.mem_mb} MB, {limit}"
    granted = granted if allocation.nodes == 1 else f"{allocation.nodes} nodes, {granted}"
    return f"{job_record.HEADLINE}{attempt}, {time.strftime('%Y-%m-%d %H:%M:%S')}, {where}: {granted}\n"
