"""The site's partition, account and options, from an untracked file: slurm/site.yaml, or the file in TRUSTDAG_SITE.

`resources` adds them to each job by its needs: a job with GPUs goes to the partition with GPUs, for any rule or model.
The profile (slurm/config.v9+.yaml) reads `jobs`, `status_command` and `first_poll` from the same file.
"""

import getpass
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator

from trustdag.errors import UserError
from trustdag.fingerprint import ROOT
from trustdag.settings import MOST, Count, Section, explain
from trustdag.yamlfiles import read_yaml

DEFAULT = ROOT / "slurm" / "site.yaml"
"""In the profile's folder, independent of the working directory."""
VARIABLE = "TRUSTDAG_SITE"

Word = Annotated[str, Field(pattern=r"^[\w.,:@+-]+$")]
OURS = re.compile(
    r"(?:^|\s)(-[JoeDApnctCNG]\b|--(?:job-name|output|error|parsable|export|comment|chdir|workdir|account|partition"
    r"|mem|mem-per-cpu|mem-per-gpu|ntasks|ntasks-per-node|ntasks-per-gpu|cpus-per-task|cpus-per-gpu|time|constraint|qos|nodes|clusters"
    r"|gres|gpus|gpus-per-node|signal|array)\b)"
)
"""sbatch options that are set for each job. In `extra` they would contradict these."""
FEATURE = re.compile(r"[A-Za-z][\w.:-]*")
"""A feature in a constraint such as `[a100*2&ib]`."""


class Placement(Section):
    """Placement of one kind of job. None: the cluster's default."""

    partition: Word | None = None
    """Partition, or several separated by commas, of which Slurm uses the first free one."""
    constraint: str | None = Field(None, min_length=1)
    """Required features of the node, as in `sbatch --constraint`."""
    qos: Word | None = None
    """Quality of service."""
    gpu_model: Annotated[str, Field(pattern=r"^[\w.]+$")] | None = None
    """Type of GPU, as in `sbatch --gpus=TYPE:N` (`sinfo -o %G` lists the types)."""
    extra: str | None = Field(None, min_length=1)
    """Further options for sbatch, such as `--exclude=node13`."""

    @field_validator("extra")
    @classmethod
    def _not_ours(cls, extra: str | None) -> str | None:
        if extra is not None and (option := OURS.search(extra)):
            raise ValueError(
                f"{option.group(1)} is set for each job; use the site's key for it, or the study's resources"
            )
        return extra


class Site(Section):
    """Settings of a site's cluster for its jobs, besides their resources."""

    account: Word | None = None
    """Account to charge. None: the user's default."""
    cpu: Placement = Placement()
    """Jobs without a GPU."""
    gpu: Placement = Placement()
    """Jobs with GPUs."""
    jobs: Count = 100
    """Largest number of jobs in the queue."""
    status_command: Literal["squeue", "sacct"] = "squeue"
    """Command that watches jobs. `squeue` reports cancelled jobs; it needs MinJobAge of at least 120 in slurm.conf."""
    first_poll: Count = 40
    """Seconds before the first query of a job's state."""
    patience: int = Field(30, ge=0, le=MOST)
    """Minutes for which a submission is repeated while Slurm does not answer."""
    local: list[Literal["items", "score", "statistics", "plot", "report"]] = []
    """Rules whose jobs the main process runs itself instead of submitting them: many small jobs, no submission."""
    local_cores: Count = 1
    """CPU cores that those jobs share."""
    jobs_per_gpu: Count = 1
    """Jobs that share a GPU where this machine runs them itself. More are faster where the models are small."""

    @field_validator("cpu")
    @classmethod
    def _no_model(cls, cpu: Placement) -> Placement:
        if cpu.gpu_model is not None:
            raise ValueError("gpu_model has no meaning for jobs without a GPU")
        return cpu

    def place(self, gpu: int, nodes: int = 1, cpus: int = 1) -> dict[str, str | int]:
        """The resources that the Slurm executor reads.

        Args:
            gpu: GPUs of all nodes together.
            nodes: Nodes of the job.
            cpus: CPU cores of one node.
        """
        placement = self.gpu if gpu else self.cpu
        extra = placement.extra
        spread: dict[str, str | int] = {}
        if nodes > 1:
            # One task per node, for the `srun` of `launch`. Without `mpi` the executor would add an srun of its own.
            # Slurm distributes `--gpus` unevenly unless the number of each node is set.
            spread = {"mpi": "srun", "tasks": nodes, "tasks_per_gpu": 0, "cpus_per_task": cpus}
            of_node = f"{placement.gpu_model}:{gpu // nodes}" if placement.gpu_model else str(gpu // nodes)
            extra = " ".join(filter(None, [extra, f"--gpus-per-node={of_node}"]))
        wanted = {
            "slurm_account": self.account,
            "slurm_partition": placement.partition,
            "constraint": placement.constraint,
            "qos": placement.qos,
            "gpu_model": placement.gpu_model,
            "slurm_extra": extra,
        }
        return spread | {name: value for name, value in wanted.items() if value is not None}


PLACED = (
    "slurm_account", "slurm_partition", "constraint", "qos", "gpu_model", "slurm_extra",
    "mpi", "tasks", "tasks_per_gpu", "cpus_per_task",
)  # fmt: skip
"""The names of the resources that `Site.place` may return."""


def path() -> Path:
    """The path of the site's file, which may not exist. Raises UserError for the home of a user who does not exist."""
    named = os.environ.get(VARIABLE)
    try:
        return Path(named).expanduser() if named else DEFAULT
    except RuntimeError:
        raise UserError(f"{VARIABLE}={named}: no such user") from None


def load() -> Site:
    """The site's settings; the defaults if there is no file.

    Raises UserError if the file that TRUSTDAG_SITE names is missing, or a file has an unknown key or a wrong value.
    """
    file = path()
    if not file.is_file():
        if file != DEFAULT:
            raise UserError(f"{VARIABLE}={file}: no such file; see slurm/site.example.yaml")
        return Site()
    settings = read_yaml(file)
    if not isinstance(settings, dict | None):
        raise UserError(f"{file}: the site's file is a mapping of keys; see slurm/site.example.yaml")
    try:
        return Site.model_validate(settings or {})
    except ValidationError as error:
        raise UserError(explain(error, str(file))) from None


# --- What the cluster has ---


def check_cluster(site: Site) -> None:
    """Checks the site's file against the cluster.

    Raises UserError without Slurm, or if the cluster lacks a partition, a feature, a quality of service, the type of
    GPU, or the account for this user.
    """
    if shutil.which("sbatch") is None:
        raise UserError("no Slurm here (sbatch is not found): run on a login node, or add `--executor local --cores 2`")
    _query_slurm(["scontrol", "ping"])
    for kind, placement in (("cpu", site.cpu), ("gpu", site.gpu)):
        if placement.partition is not None:
            partitions = {line.rstrip("*") for line in _query_slurm(["sinfo", "-h", "-o", "%P"])}
            _need(f"{kind}.partition", "partition", placement.partition.split(","), partitions)
        if placement.constraint is not None:
            features = set(",".join(_query_slurm(["sinfo", "-h", "-o", "%f"])).split(",")) - {"(null)"}
            _need(f"{kind}.constraint", "node with", FEATURE.findall(placement.constraint), features)
        if placement.qos is not None:
            qualities = _query_accounting(["sacctmgr", "-nP", "show", "qos", "format=name"])
            if qualities is not None:
                _need(f"{kind}.qos", "QOS", [placement.qos], qualities)
    if site.gpu.gpu_model is not None:
        types = re.findall(r"gpu:([A-Za-z][\w.]*):", " ".join(_query_slurm(["sinfo", "-h", "-o", "%G"])))
        _need("gpu.gpu_model", "GPU of type", [site.gpu.gpu_model], types)
    if site.account is not None:
        listing = ["sacctmgr", "-nP", "show", "associations", f"user={getpass.getuser()}", "format=account"]
        if accounts := _query_accounting(listing):
            _need("account", "account of yours is named", [site.account], accounts)


def _need(key: str, what: str, wanted: Iterable[str], known: Iterable[str]) -> None:
    """Raises UserError for the first of `wanted` that is not in `known`; the message lists the known ones."""
    for name in wanted:
        if name not in set(known):
            there = ", ".join(sorted(set(known))) or "none"
            raise UserError(f"{path()}: {key}: no {what} {name}; there are {there}")


def _query_accounting(command: Sequence[str]) -> list[str] | None:
    """The lines that a command of Slurm's accounting prints; None, with a message, if it does not answer."""
    try:
        return _query_slurm(command)
    except UserError as error:
        print(f"trustdag: {error}; going on, {path()} is not checked against it", file=sys.stderr)
        return None


def _query_slurm(command: Sequence[str]) -> list[str]:
    """The lines that a Slurm command prints. Raises UserError with Slurm's message if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise UserError(f"Slurm does not answer: {error}") from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        raise UserError(f"Slurm does not answer: {command[0]}: {said}")
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
