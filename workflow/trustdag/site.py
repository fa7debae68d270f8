"""The site's partition, account and options, from an untracked file: slurm/site.yaml, or the one TRUSTDAG_SITE names.

`resources` gives them to each job by what it needs: a job with GPUs goes where GPUs are, whatever its rule or model.
The profile (slurm/config.v9+.yaml) reads `jobs`, `status_command` and `first_poll` from the same file.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError, field_validator

from trustdag.errors import UserError
from trustdag.settings import Section, explain

DEFAULT = Path("slurm/site.yaml")
VARIABLE = "TRUSTDAG_SITE"

Word = Annotated[str, Field(pattern=r"^[\w.,:@+-]+$")]
OURS = re.compile(
    r"(?:^|\s)(-[JoeDApnctCNG]\b|--(?:job-name|output|error|parsable|export|comment|chdir|workdir|account|partition"
    r"|mem|mem-per-cpu|mem-per-gpu|ntasks|ntasks-per-gpu|cpus-per-task|cpus-per-gpu|time|constraint|qos|nodes|clusters"
    r"|gres|gpus|signal|array)\b)"
)
"""sbatch options that are set for each job: in `extra` they would contradict it."""


class Placement(Section):
    """Where one kind of job goes. None: the cluster's default."""

    partition: Word | None = None
    """Partition, or several separated by commas, of which Slurm takes the first that is free."""
    constraint: str | None = Field(None, min_length=1)
    """Features that the node must have, as in `sbatch --constraint`."""
    qos: Word | None = None
    """Quality of service."""
    gpu_model: Annotated[str, Field(pattern=r"^[\w.]+$")] | None = None
    """Type of GPU, as in `sbatch --gpus=TYPE:N` (`sinfo -o %G` lists the types)."""
    extra: str | None = Field(None, min_length=1)
    """Further options for sbatch, such as `--exclude=node13`."""

    @field_validator("extra")
    @classmethod
    def _not_ours(cls, extra: str | None) -> str | None:
        if extra is not None and (found := OURS.search(extra)):
            raise ValueError(
                f"{found.group(1)} is set for each job; use the site's key for it, or the study's resources"
            )
        return extra


class Site(Section):
    """What a site's cluster needs to be told."""

    account: Word | None = None
    """Account that is charged. None: the user's default."""
    cpu: Placement = Placement()
    """Jobs without a GPU."""
    gpu: Placement = Placement()
    """Jobs with GPUs."""
    jobs: int = Field(100, ge=1)
    """Most jobs that are in the queue at once."""
    status_command: Literal["squeue", "sacct"] = "squeue"
    """How jobs are watched. `squeue` sees cancelled jobs; it needs MinJobAge of 120 seconds or more in slurm.conf."""
    first_poll: int = Field(40, ge=1)
    """Seconds before a job's state is asked for the first time."""

    @field_validator("cpu")
    @classmethod
    def _no_model(cls, cpu: Placement) -> Placement:
        if cpu.gpu_model is not None:
            raise ValueError("gpu_model has no meaning for jobs without a GPU")
        return cpu

    def place(self, gpus: int) -> dict[str, str]:
        """The resources that the Slurm executor reads, for a job with so many GPUs."""
        placement = self.gpu if gpus else self.cpu
        wanted = {
            "slurm_account": self.account,
            "slurm_partition": placement.partition,
            "constraint": placement.constraint,
            "qos": placement.qos,
            "gpu_model": placement.gpu_model,
            "slurm_extra": placement.extra,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def names(self, resource: str) -> bool:
        """Whether any job gets this resource."""
        return resource in self.place(0) or resource in self.place(1)


PLACED = ("slurm_account", "slurm_partition", "constraint", "qos", "gpu_model", "slurm_extra")
"""The names that `Site.place` may give."""


def load() -> Site:
    """The site's file; a site without wishes where there is none.

    Raises UserError if the file that TRUSTDAG_SITE names is missing, or a file is not what it should be.
    """
    named = os.environ.get(VARIABLE)
    path = Path(named) if named else DEFAULT
    if not path.is_file():
        if named:
            raise UserError(f"{VARIABLE}={named}: no such file; see slurm/site.example.yaml")
        return Site()
    try:
        return Site.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise UserError(explain(error, str(path))) from None


def check_cluster(site: Site) -> None:
    """Asks the cluster whether it has what the site's file names.

    Raises UserError if there is no Slurm here, or it lacks a partition, the account, or the type of GPU.
    """
    if shutil.which("sbatch") is None:
        raise UserError("no Slurm here (sbatch is not found): run on a login node, or add `--executor local --cores 2`")
    partitions = {line.rstrip("*") for line in _ask(["sinfo", "-h", "-o", "%P"])}
    for kind, placement in (("cpu", site.cpu), ("gpu", site.gpu)):
        for partition in (placement.partition or "").split(","):
            if partition and partition not in partitions:
                known = ", ".join(sorted(partitions))
                raise UserError(f"{kind}.partition: no partition {partition}; there are {known}")
    if site.gpu.gpu_model is not None:
        listed = " ".join(_ask(["sinfo", "-h", "-o", "%G"]))
        types = set(re.findall(r"gpu:([A-Za-z][\w.]*):", listed))
        if site.gpu.gpu_model not in types:
            known = ", ".join(sorted(types)) or "none that Slurm knows by type"
            raise UserError(f"gpu.gpu_model: no GPU of type {site.gpu.gpu_model}; there are {known}")
    if site.account is not None:
        accounts = set(_ask(["sacctmgr", "-nP", "show", "associations", f"user={_user()}", "format=account"]))
        if accounts and site.account not in accounts:
            raise UserError(f"account: you may not use {site.account}; you may use {', '.join(sorted(accounts))}")


def _user() -> str:
    import getpass

    return getpass.getuser()


def _ask(command: Sequence[str]) -> list[str]:
    """The lines that a Slurm command prints. Raises UserError with Slurm's own words if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise UserError(f"Slurm does not answer: {command[0]}: {done.stderr.strip() or done.returncode}")
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
