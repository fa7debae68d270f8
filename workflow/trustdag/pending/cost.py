"""Cost of pending jobs: measured if a similar job was run before, else estimated. Pure, except for `measured`."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple

from trustdag.errors import UserError
from trustdag.jobs import record as records
from trustdag.layout import model_of_record
from trustdag.pending.dryrun import Job

Source = Literal["this job", "jobs like it", "estimate"]


class Machine(NamedTuple):
    """What jobs run on."""

    gpus: int
    cores: float
    """Infinite where a scheduler finds enough."""
    slowness: float = 1.0
    """Time of a core over that of the reference machine (see `resources`)."""
    free_mb: float = inf
    """Free megabytes on the disk of the results."""

    def in_words(self, with_gpus: bool) -> str:
        """As ` on 2 GPUs and 4 cores`; GPUs only where a job wants one."""
        parts = [f"{self.gpus} GPUs"] if with_gpus and self.gpus else []
        parts += [f"{self.cores:.0f} cores"] if self.cores < inf else []
        return f" on {' and '.join(parts)}" if parts else ""


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


def costs_of(
    jobs: Sequence[Job], used: Mapping[tuple[str, str], records.Usage], machine: Machine
) -> dict[int, JobCost]:
    """The expected cost of each job, by its id.

    Args:
        jobs: The jobs.
        used: What `measured` found.
        machine: What they run on.
    """
    return {job.id: cost(job, used, machine) for job in jobs}


def cost(job: Job, used: Mapping[tuple[str, str], records.Usage], machine: Machine) -> JobCost:
    """The expected cost of one job. What Snakemake does itself (targets) costs nothing.

    Args:
        job: The job.
        used: What `measured` found.
        machine: What it runs on. Without a GPU, every job runs on the CPU.
    """
    if "record" not in job.resources:
        return JobCost(0.0, 0.0, 0, "this job")
    gpu = job.gpu if machine.gpus else 0
    own = used.get((job.rule, Path(str(job.resources["record"])).stem))
    if own is not None:
        return JobCost(own.seconds, own.peak_mb, gpu, "this job")
    alike = [usage for (rule, name), usage in used.items() if rule == job.rule and _same_model(name, job.model)]
    if alike:
        seconds = median(usage.seconds for usage in alike)
        return JobCost(seconds, max(usage.peak_mb for usage in alike), gpu, "jobs like it")
    seconds = float(job.resources["expected" if gpu else "expected_on_cpu"])
    return JobCost(seconds if gpu else seconds * machine.slowness, float(job.resources["mem_mb"]), gpu, "estimate")


def written_mb(jobs: Sequence[Job]) -> float:
    """Megabytes of the models that jobs leave in the results. Checkpoints are gone when a stage ends."""
    return sum(float(job.resources.get("written_mb", 0)) for job in jobs)


def _same_model(record: str, model: str) -> bool:
    return model == "-" or model_of_record(record) == model


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


def makespan(jobs: Sequence[Job], seconds: Mapping[int, float], machine: Machine) -> float:
    """Seconds until all jobs are done on so many GPUs and cores: the job with the longest way to go first.

    It is a schedule, so an upper bound of the best one (Graham 1966: at most twice). Raises UserError if a job wants
    more GPUs than there are; one that wants more cores gets all, as Snakemake does it.

    Args:
        jobs: the jobs, each after those that it needs.
        seconds: what each takes, by its id.
        machine: GPUs and cores that there are. Without a GPU, every job runs on the CPU.
    """
    gpu = {job.id: job.gpu if machine.gpus else 0 for job in jobs}
    threads = {job.id: min(job.threads, machine.cores) for job in jobs}
    for job in jobs:
        if gpu[job.id] > machine.gpus:
            raise UserError(f"{job.rule} of {job.model} needs {job.gpu} GPUs; --gpus is {machine.gpus}")
    priority = remaining(jobs, seconds)
    left = {job.id: set(job.needs) for job in jobs}
    ready = sorted((job for job in jobs if not job.needs), key=lambda job: -priority[job.id])
    running: list[tuple[float, int]] = []
    now, free, idle = 0.0, machine.gpus, machine.cores
    while ready or running:
        for job in list(ready):
            if gpu[job.id] <= free and threads[job.id] <= idle:
                ready.remove(job)
                free -= gpu[job.id]
                idle -= threads[job.id]
                heapq.heappush(running, (now + seconds[job.id], job.id))
        now, done = heapq.heappop(running)
        free += gpu[done]
        idle += threads[done]
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
