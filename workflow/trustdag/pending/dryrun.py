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
from trustdag.layout import ModelId

WORKFLOW = Path(__file__).parents[2]


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


def pending(options: Sequence[str]) -> list[Job]:
    """The jobs that `snakemake OPTIONS` would run, each after those that it needs.

    Raises UserError with Snakemake's own message if the dry run fails.
    """
    return pending_and_code(options)[0]


def pending_and_code(options: Sequence[str]) -> tuple[list[Job], dict[str, dict[str, str]]]:
    """As `pending`, with the modules behind each fingerprint of code that the study has now."""
    records, code = _dry_run(options)
    return linked(records), code


def everything(options: Sequence[str]) -> list[Job]:
    """All jobs of the study, done or not."""
    return pending([*options, "--forceall"])


def _dry_run(options: Sequence[str]) -> tuple[list[dict[str, Any]], dict[str, dict[str, str]]]:
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "jobs.jsonl"
        paths = os.pathsep.join(filter(None, (str(WORKFLOW), os.environ.get("PYTHONPATH"))))
        environment = os.environ | {"TRUSTDAG_DRY_RUN": str(found), "PYTHONPATH": paths}
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--logger", "trustdag", "--quiet", "all", *options]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"the dry run failed:\n{_message(done.stderr)}")
        if not found.exists():
            return [], {}
        jobs = [json.loads(line) for line in found.read_text(encoding="utf-8").splitlines()]
        return jobs, json.loads(found.with_name("code.json").read_text(encoding="utf-8"))


def _message(output: str) -> str:
    """What Snakemake says of an error, without the file and line of its own code."""
    lines = [line for line in output.strip().splitlines() if not line.lstrip().startswith('File "')]
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
    found: dict[int, Job] = {}
    waiting = dict(jobs)
    while waiting:
        ready = [job for job in waiting.values() if job.needs <= found.keys()]
        if not ready:
            raise ValueError(f"jobs that wait for each other: {sorted(waiting)}")
        for job in ready:
            found[job.id] = waiting.pop(job.id)
    return list(found.values())
