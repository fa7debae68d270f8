"""The state of a run, updated from the events that a Snakemake logger receives. Independent of any display."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from trustdag.errors import UserError
from trustdag.jobs import record as job_record


@dataclass(frozen=True)
class StartedJob:
    """A job that Snakemake started or submitted."""

    id: int
    rule: str
    title: str
    """The message of its rule."""
    log: Path | None
    record: Path | None
    """The record that `launch` writes of its resources; None for a job that Snakemake runs itself."""
    since: float
    """Time of its start, in seconds of the run's clock."""


@dataclass
class StudyRun:
    """The jobs of one run: planned, running, finished and failed."""

    clock: Callable[[], float] = time.monotonic
    planned: dict[str, int] = field(default_factory=dict)
    """Number of jobs of each rule, from Snakemake's count at the start."""
    finished: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    """Number of failed attempts, by rule."""
    running: dict[int, StartedJob] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Durations of the jobs of each rule, in this run and in earlier ones."""

    def __post_init__(self) -> None:
        self.began = self.clock()
        self._worked = 0.0
        self._remembered: set[Path] = set()

    def plan(self, stats: Mapping[str, int]) -> None:
        """Stores Snakemake's counts of jobs by rule, without their `total`."""
        self.planned = {rule: count for rule, count in stats.items() if rule != "total"}

    def start(self, id: int, rule: str, title: str, log: str | None, record: str | None) -> StartedJob:  # noqa: A002
        """Notes the start of a job.

        Args:
            id: Snakemake's number of the job.
            rule: Its rule.
            title: What it does.
            log: Its log file, if it has one.
            record: Its record (see `jobs.record`), if it has one.

        Returns:
            The job.
        """
        job = StartedJob(id, rule, title, Path(log) if log else None, Path(record) if record else None, self.clock())
        self.running[id] = job
        if job.record:
            self._remember(job.record.parent)
        return job

    def finish(self, id: int) -> StartedJob | None:  # noqa: A002
        """Notes the success of a job. Returns the job, or None if its start was not reported."""
        job = self.running.pop(id, None)
        if job is not None:
            self.finished[job.rule] += 1
            self.seconds[job.rule].append(self.clock() - job.since)
            self._worked += self.clock() - job.since
        return job

    def fail(self, id: int) -> StartedJob | None:  # noqa: A002
        """Notes the failure of an attempt. Returns the job, or None if its start was not reported."""
        job = self.running.pop(id, None)
        if job is not None:
            self.failed[job.rule] += 1
            self._worked += self.clock() - job.since
        return job

    @property
    def done(self) -> int:
        """Number of jobs that succeeded."""
        return self.finished.total()

    @property
    def total(self) -> int:
        """Number of all jobs of the run."""
        return sum(self.planned.values())

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.began

    def left(self) -> float | None:
        """Estimated seconds until the run ends; None if a remaining rule has no finished job to estimate from.

        The remaining work, with each rule's median duration, divided by the mean number of jobs that ran in parallel.
        """
        now, work = self.clock(), 0.0
        for rule, count in self.planned.items():
            underway = [now - job.since for job in self.running.values() if job.rule == rule]
            waiting = count - self.finished[rule] - len(underway)
            if count == self.finished[rule]:
                continue
            if not self.seconds[rule]:
                return None
            usual = median(self.seconds[rule])
            work += max(0, waiting) * usual + sum(max(0.0, usual - seconds) for seconds in underway)
        worked = self._worked + sum(now - job.since for job in self.running.values())
        at_once = max(1.0, worked / self.elapsed) if self.elapsed > 0 else 1.0
        return work / at_once

    def _remember(self, folder: Path) -> None:
        """Reads the durations of the rule's jobs in earlier runs, once for each folder of records."""
        if folder in self._remembered:
            return
        self._remembered.add(folder)
        for path in folder.glob("*.json"):
            try:
                used = job_record.read(path).used
            except UserError:  # a damaged record: the job that it belongs to fails with this error
                continue
            if used is not None:
                self.seconds[folder.name].append(used.seconds)
