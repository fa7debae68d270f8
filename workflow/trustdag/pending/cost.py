"""Cost of pending jobs: measured if a similar job was run before, else estimated. Pure, except for `measured`."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from trustdag.errors import UserError
from trustdag.jobs import record as records
from trustdag.layout import model_of_record
from trustdag.pending.dryrun import Job

Source = Literal["this job", "jobs like it", "estimate"]
SHORT = 60.0
"""Seconds of a job that computes with no model, if nothing was measured."""


@dataclass(frozen=True)
class JobCost:
    """The expected cost of one job."""

    seconds: float
    mem_mb: float
    gpu: int
    source: Source
    """`this job`: it was run before; `jobs like it`: its rule was run for the same model; `estimate`: neither was."""

    @property
    def gpu_hours(self) -> float:
        """GPUs times hours."""
        return self.gpu * self.seconds / 3600


def measured(jobs: Sequence[Job]) -> dict[tuple[str, str], records.Usage]:
    """Measured resources of finished jobs of these rules, by rule and the name of their record."""
    folders = {Path(str(job.resources["record"])).parent for job in jobs if "record" in job.resources}
    usages = {}
    for folder in folders:
        for path in folder.glob("*.json"):
            used = records.read(path).used
            if used is not None:
                usages[folder.name, path.stem] = used
    return usages


def cost(job: Job, used: Mapping[tuple[str, str], records.Usage]) -> JobCost:
    """The expected cost of one job. Jobs of Snakemake itself (targets) cost nothing."""
    if "record" not in job.resources:
        return JobCost(0.0, 0.0, 0, "this job")
    own = used.get((job.rule, Path(str(job.resources["record"])).stem))
    if own is not None:
        return JobCost(own.seconds, own.peak_mb, job.gpu, "this job")
    alike = [usage for (rule, name), usage in used.items() if rule == job.rule and _same_model(name, job.model)]
    if alike:
        seconds = median(usage.seconds for usage in alike)
        return JobCost(seconds, max(usage.peak_mb for usage in alike), job.gpu, "jobs like it")
    return JobCost(expected_seconds(job), float(job.resources["mem_mb"]), job.gpu, "estimate")


def _same_model(record: str, model: str) -> bool:
    return model == "-" or model_of_record(record) == model


def expected_seconds(job: Job) -> float:
    """The estimate behind a job's time limit: the limit is ten minutes plus twice the estimate (see `resources`)."""
    computes = job.gpu > 0 or "chain" in job.wildcards or job.rule in ("base", "generate")
    return max(SHORT, (int(job.resources["runtime"]) - 10) * 30.0) if computes else SHORT


# --- The whole ---


def critical_path(jobs: Sequence[Job], seconds: Mapping[int, float]) -> list[Job]:
    """The longest chain of dependent jobs by time. `jobs` are in order of dependence."""
    by_id = {job.id: job for job in jobs}
    until: dict[int, float] = {}
    for job in jobs:
        until[job.id] = seconds[job.id] + max((until[need] for need in job.needs), default=0.0)
    chain: list[Job] = []
    last = max(until, key=lambda job_id: until[job_id], default=None)
    while last is not None:
        chain.append(by_id[last])
        last = max(by_id[last].needs, key=lambda job_id: until[job_id], default=None)
    return chain[::-1]


def makespan(jobs: Sequence[Job], seconds: Mapping[int, float], gpus: int) -> float:
    """Seconds until all jobs are done with this many GPUs and enough CPUs, by list scheduling on the longest chain.

    It is an upper bound of the best schedule (Graham 1966: at most twice as long). Raises UserError if a job needs more
    GPUs than there are.

    Args:
        jobs: the jobs, each after those that it depends on.
        seconds: duration of each job, by its id.
        gpus: number of GPUs.
    """
    for job in jobs:
        if job.gpu > gpus:
            raise UserError(f"{job.rule} of {job.model} needs {job.gpu} GPUs; --gpus is {gpus}")
    priority = remaining(jobs, seconds)
    left = {job.id: set(job.needs) for job in jobs}
    ready = sorted((job for job in jobs if not job.needs), key=lambda job: -priority[job.id])
    running: list[tuple[float, int]] = []
    by_id, now, free = {job.id: job for job in jobs}, 0.0, gpus
    while ready or running:
        for job in list(ready):
            if job.gpu <= free:
                ready.remove(job)
                free -= job.gpu
                heapq.heappush(running, (now + seconds[job.id], job.id))
        now, done = heapq.heappop(running)
        free += by_id[done].gpu
        for job in jobs:
            if done in left[job.id]:
                left[job.id].remove(done)
                if not left[job.id]:
                    ready.append(job)
        ready.sort(key=lambda job: -priority[job.id])
    return now


def remaining(jobs: Sequence[Job], seconds: Mapping[int, float]) -> dict[int, float]:
    """For each job: the seconds from its start to the end of the longest chain that starts with it."""
    lengths = {job.id: seconds[job.id] for job in jobs}
    for job in reversed(jobs):
        for need in job.needs:
            lengths[need] = max(lengths[need], seconds[need] + lengths[job.id])
    return lengths
