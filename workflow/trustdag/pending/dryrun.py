"""The jobs of a study from Snakemake's dry run, with any configuration and profile."""

import json
import os
import re
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
"""The environment variable with the file to which the logger plugin `trustdag-jobs` writes the jobs."""
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
    """Ids of the jobs that make its inputs."""

    @property
    def model(self) -> str:
        """The model that the job belongs to, or a dash."""
        policy = self.wildcards.get("policy")
        return ModelId.parse(policy).model if policy else self.wildcards.get("model", "-")

    @property
    def gpu(self) -> int:
        """Number of GPUs that it requests."""
        return int(self.resources.get("gpu", 0))


@dataclass(frozen=True)
class DryRun:
    """The result of a dry run of a study."""

    jobs: list[Job]
    """The jobs that would run, each after those that it depends on."""
    code: dict[str, dict[str, str]]
    """The modules of each present fingerprint of code of the pending jobs."""
    study: dict[str, Any]
    """The whole configuration, as Snakemake merged it from all files and options."""


def dry_run(options: Sequence[str]) -> DryRun:
    """Dry run of `snakemake OPTIONS`. Raises UserError with Snakemake's message if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "snakemake", *OPTIONS, *where(options), *with_our_profile(options)]
        environment = os.environ | variables(Path(folder))
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"the dry run failed:\n{_message(done.stderr + done.stdout)}")
        return read(Path(folder))


def variables(folder: Path) -> dict[str, str]:
    """The environment variables with which Snakemake with OPTIONS writes to `folder` the files that `read` reads."""
    return {VARIABLE: str(folder / "jobs.jsonl"), "PYTHONPATH": search_path()}


def search_path() -> str:
    """The PYTHONPATH with which Snakemake finds the logger plugins, also if the package is not installed."""
    return os.pathsep.join(filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH"))))


def where(options: Sequence[str]) -> list[str]:
    """The options for this package's Snakefile, unless `options` name one or the working directory has one."""
    named = any(re.match(r"--snakefile(=|$)|-s", option) for option in options)
    own = any(Path(name).is_file() for name in ("Snakefile", "workflow/Snakefile", "snakefile", "workflow/snakefile"))
    return [] if named or own else ["--snakefile", str(ROOT / "Snakefile")]


def with_our_profile(options: Sequence[str]) -> list[str]:
    """The options, with the package's profile for `--profile slurm` if this folder has none of that name."""
    ours = {path.name: path for path in ROOT.iterdir() if path.is_dir() and any(path.glob("config*.yaml"))}
    chosen = [word for option in options for word in re.sub("^--profile=", "--profile\0", option).split("\0")]
    for place, option in enumerate(chosen[1:], start=1):
        if chosen[place - 1] == "--profile" and option in ours and not Path(option).is_dir():
            chosen[place] = str(ours[option])
    return chosen


def read(folder: Path) -> DryRun:
    """Reads the files that a dry run wrote to `folder`."""
    jobs = folder / "jobs.jsonl"
    study = json.loads(_study_file(jobs).read_text(encoding="utf-8"))
    if not jobs.exists():
        return DryRun([], {}, study)
    records = [json.loads(line) for line in jobs.read_text(encoding="utf-8").splitlines()]
    return DryRun(linked(records), json.loads(jobs.with_name("code.json").read_text(encoding="utf-8")), study)


def hand_over(study: Section) -> None:
    """Writes the study to a file for `dry_run`, if that started the workflow. The workflow calls it."""
    if VARIABLE in os.environ:
        _study_file(Path(os.environ[VARIABLE])).write_text(study.as_json(), encoding="utf-8")


def pending(options: Sequence[str]) -> list[Job]:
    """The jobs that `snakemake OPTIONS` would run, each after those that it depends on."""
    return dry_run(options).jobs


def everything(options: Sequence[str]) -> list[Job]:
    """All jobs of the study, done or not."""
    return pending([*options, "--forceall"])


def _study_file(jobs: Path) -> Path:
    return jobs.with_name("study.json")


def _message(output: str) -> str:
    """Snakemake's error message, without file and line of its own code."""
    lines = [
        line for line in output.strip().splitlines() if not line.lstrip().startswith(('File "', "WorkflowError in"))
    ]
    if lines and re.match(r"\S+: error: ", lines[-1]):
        return lines[-1]  # of its options, after its usage
    return "\n".join(lines[-6:]) or "Snakemake said nothing"


def linked(records: Sequence[dict[str, Any]]) -> list[Job]:
    """Jobs with their dependencies, which are the jobs that make their inputs. Each comes after those it depends on."""
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
    """The jobs in topological order. Raises ValueError for a cycle."""
    ordered: dict[int, Job] = {}
    waiting = dict(jobs)
    while waiting:
        ready = [job for job in waiting.values() if job.needs <= ordered.keys()]
        if not ready:
            raise ValueError(f"jobs that wait for each other: {sorted(waiting)}")
        for job in ready:
            ordered[job.id] = waiting.pop(job.id)
    return list(ordered.values())
