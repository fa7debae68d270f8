"""Pending jobs as a text table and as JSON. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from trustdag.pending.cost import JobCost, Machine, critical_path, makespan, written_mb
from trustdag.pending.dryrun import Job
from trustdag.progress import duration

COLUMNS = ("stage", "model", "jobs", "GPU-hours", "time", "memory", "why")


def as_json(
    jobs: Sequence[Job], why: Mapping[int, str], costs: Mapping[int, JobCost], machine: Machine
) -> dict[str, Any]:
    """Everything that the table says, job by job.

    Args:
        jobs: the pending jobs.
        why: the reason of each, by its id.
        costs: the cost of each, by its id.
        machine: GPUs and cores that there are.
    """
    seconds = {job.id: costs[job.id].seconds for job in jobs}
    return {
        "jobs": [
            {
                "rule": job.rule,
                "model": job.model,
                "wildcards": job.wildcards,
                "outputs": list(job.outputs),
                "reason": why[job.id],
                "ready": not job.needs,
                "seconds": round(costs[job.id].seconds, 1),
                "mem_mb": round(costs[job.id].mem_mb, 1),
                "gpu": costs[job.id].gpu,
                "gpu_hours": round(costs[job.id].gpu_hours, 4),
                "cost_from": costs[job.id].source,
            }
            for job in jobs
        ],
        "gpu_hours": round(sum(cost.gpu_hours for cost in costs.values()), 4),
        "critical_path": [
            {"rule": job.rule, "model": job.model, "wildcards": job.wildcards, "seconds": round(seconds[job.id], 1)}
            for job in critical_path(jobs, seconds)
            if seconds[job.id]
        ],
        "gpus": machine.gpus,
        "cores": None if machine.cores == inf else machine.cores,
        "makespan_seconds": round(makespan(jobs, seconds, machine), 1),
        "written_mb": round(written_mb(jobs), 1),
        "free_mb": None if machine.free_mb == inf else round(machine.free_mb, 1),
    }


def as_text(jobs: Sequence[Job], why: Mapping[int, str], costs: Mapping[int, JobCost], machine: Machine) -> str:
    """One line for each stage and model, then the sums. A number that is estimated stands behind a `~`.

    Args:
        jobs: the pending jobs.
        why: the reason of each, by its id.
        costs: the cost of each, by its id.
        machine: GPUs and cores that there are.
    """
    if not jobs:
        return "Nothing is pending."
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.rule, job.model), []).append(job)
    rows = [COLUMNS, *(_row(*key, group, why, costs) for key, group in groups.items())]
    seconds = {job.id: costs[job.id].seconds for job in jobs}
    path = [job for job in critical_path(jobs, seconds) if seconds[job.id]]
    guess = "~" if any(cost.source == "estimate" for cost in costs.values()) else ""
    hours = sum(cost.gpu_hours for cost in costs.values())
    return "\n".join(
        [
            *_aligned(rows),
            "",
            f"{len(jobs)} jobs, {guess}{hours:.2f} GPU-hours; {guess}{_estimate(makespan(jobs, seconds, machine))}"
            + machine.in_words(any(job.gpu for job in jobs)),
            f"critical path, {guess}{_estimate(sum(seconds[job.id] for job in path))}: "
            + " > ".join(f"{job.rule} {job.model}".removesuffix(" -") for job in path),
            *_disk(written_mb(jobs), machine.free_mb),
            *(["~: estimated, since no job of the kind was run yet"] if guess else []),
        ]
    )


def _disk(written: float, free: float) -> list[str]:
    """What the models need on the disk of the results; nothing where jobs write none."""
    if not written:
        return []
    has = "" if free == inf else f", {_size(free)} are free there"
    mend = "; free more, or keep the results on another disk" if written > free else ""
    return [f"disk: models of {_size(written)} are added to the results{has}{mend}"]


def _size(megabytes: float) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 100 else f"{megabytes:.0f} MB"


def _row(
    rule: str, model: str, group: Sequence[Job], why: Mapping[int, str], costs: Mapping[int, JobCost]
) -> tuple[str, ...]:
    own = [costs[job.id] for job in group]
    mark = "~" if any(cost.source == "estimate" for cost in own) else ""
    hours = sum(cost.gpu_hours for cost in own)
    return (
        rule,
        model,
        str(len(group)),
        f"{mark}{hours:.2f}" if hours else "-",
        mark + _estimate(sum(cost.seconds for cost in own)),
        f"{mark}{max(cost.mem_mb for cost in own) / 1000:.1f} GB",
        _reasons([why[job.id] for job in group]),
    )


def _reasons(reasons: Sequence[str]) -> str:
    """The reasons of several jobs, the most common first, with counts if they differ."""
    counts = Counter(reasons).most_common()
    if len(counts) == 1:
        return counts[0][0]
    said = [f"{reason} ({count})" for reason, count in counts[:2]]
    return ", ".join(said) + (f" and {len(counts) - 2} other reasons" if len(counts) > 2 else "")


def _estimate(seconds: float) -> str:
    """A duration; above 90 seconds rounded to minutes, because an estimate is not more precise."""
    return duration(seconds if seconds < 90 else 60 * round(seconds / 60))


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS) - 1)]
    right = {2, 3, 4, 5}
    return [
        "  ".join(
            [
                cell.rjust(width) if column in right else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=False))
            ]
            + [row[-1]]
        ).rstrip()
        for row in rows
    ]
