"""The jobs of a study, as Snakemake's own dry run sees them with any configuration and profile."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trustdag.errors import UserError
from trustdag.fingerprint import PACKAGE, ROOT
from trustdag.layout import ModelId
from trustdag.settings import Section

VARIABLE = "TRUSTDAG_DRY_RUN"
"""The environment variable that names the file to which our logger plugin writes the jobs."""
OPTIONS = ("--dry-run", "--logger", "trustdag-jobs", "--quiet", "all")
"""Snakemake's options for it."""


@dataclass(frozen=True)
class Job:
    """One job of a dry run."""

    id: int
    rule: str
    wildcards: dict[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    resources: dict[str, Any]
    threads: int
    reason: str
    message: str | None = None
    needs: frozenset[int] = field(default=frozenset())
    """The jobs that make its inputs."""

    @property
    def model(self) -> str:
        """The model that the job works for, or a dash."""
        policy = self.wildcards.get("policy")
        return ModelId.parse(policy).model if policy else self.wildcards.get("model", "-")

    @property
    def gpu(self) -> int:
        """GPUs that it asks for."""
        return int(self.resources.get("gpu", 0))


@dataclass(frozen=True)
class DryRun:
    """What a dry run tells of a study."""

    jobs: list[Job]
    """The jobs that would run, each after those that it needs."""
    code: dict[str, dict[str, str]]
    """The modules behind each fingerprint of code that the pending jobs have now."""
    study: dict[str, Any]
    """The whole configuration, as Snakemake merged it from all files and options."""


def dry_run(options: Sequence[str]) -> DryRun:
    """What `snakemake OPTIONS` would do. Raises UserError with Snakemake's own message if the dry run fails."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "snakemake", *OPTIONS, *where(options), *options]
        environment = os.environ | variables(Path(folder))
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"the dry run failed:\n{_message(done.stderr + done.stdout)}")
        return read(Path(folder))


def variables(folder: Path) -> dict[str, str]:
    """The environment in which Snakemake with OPTIONS writes to `folder` what `read` reads."""
    return {VARIABLE: str(folder / "jobs.jsonl"), "PYTHONPATH": search_path()}


def search_path() -> str:
    """The PYTHONPATH with which Snakemake finds our logger plugins, where the package is not installed too."""
    return os.pathsep.join(filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH"))))


def where(options: Sequence[str]) -> list[str]:
    """The options that name our Snakefile, unless the options name one or the working directory has its own."""
    named = any(option.split("=")[0] in ("--snakefile", "-s") for option in options)
    own = any(Path(name).is_file() for name in ("Snakefile", "workflow/Snakefile", "snakefile", "workflow/snakefile"))
    return [] if named or own else ["--snakefile", str(ROOT / "Snakefile")]


def read(folder: Path) -> DryRun:
    """What a dry run wrote to `folder`."""
    jobs = folder / "jobs.jsonl"
    study = json.loads(_study_file(jobs).read_text(encoding="utf-8"))
    if not jobs.exists():
        return DryRun([], {}, study)
    records = [json.loads(line) for line in jobs.read_text(encoding="utf-8").splitlines()]
    return DryRun(linked(records), json.loads(jobs.with_name("code.json").read_text(encoding="utf-8")), study)


def hand_over(study: Section) -> None:
    """Called by the workflow: writes its study down for `dry_run`, where that has started it."""
    if VARIABLE in os.environ:
        _study_file(Path(os.environ[VARIABLE])).write_text(study.as_json(), encoding="utf-8")


def pending(options: Sequence[str]) -> list[Job]:
    """The jobs that `snakemake OPTIONS` would run, each after those that it needs."""
    return dry_run(options).jobs


def everything(options: Sequence[str]) -> list[Job]:
    """All jobs of the study, done or not."""
    return pending([*options, "--forceall"])


def _study_file(jobs: Path) -> Path:
    return jobs.with_name("study.json")


def _message(output: str) -> str:
    """What Snakemake says of an error, without the file and line of its own code."""
    lines = [
        line for line in output.strip().splitlines() if not line.lstrip().startswith(('File "', "WorkflowError in"))
    ]
    return "\n".join(lines[-6:]) or "Snakemake said nothing"


def linked(records: Sequence[dict[str, Any]]) -> list[Job]:
    """Jobs with what they need: the jobs among them that make their inputs; parents come before children."""
    makers = {output: record["id"] for record in records for output in record["outputs"]}
    jobs = {
        record["id"]: Job(
            id=record["id"],
            rule=record["rule"],
            wildcards=record["wildcards"],
            inputs=tuple(record["inputs"]),
            outputs=tuple(record["outputs"]),
            resources=record["resources"],
            threads=record["threads"],
            reason=record["reason"],
            message=record.get("message"),
            needs=frozenset(makers[name] for name in record["inputs"] if name in makers) - {record["id"]},
        )
        for record in records
    }
    return in_order(jobs)


def in_order(jobs: dict[int, Job]) -> list[Job]:
    """Jobs sorted so that each stands after those that it needs. Raises ValueError on a cycle."""
    ordered: dict[int, Job] = {}
    waiting = dict(jobs)
    while waiting:
        ready = [job for job in waiting.values() if job.needs <= ordered.keys()]
        if not ready:
            raise ValueError(f"jobs that wait for each other: {sorted(waiting)}")
        for job in ready:
            ordered[job.id] = waiting.pop(job.id)
    return list(ordered.values())
