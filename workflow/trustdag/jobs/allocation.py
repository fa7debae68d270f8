"""What a job was given, and the command line that uses it: plain, on each of a node's GPUs, or on several nodes."""

import argparse
import importlib.util
import math
import os
import shutil
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import yaml

from trustdag.errors import UserError
from trustdag.jobs import processes

ROOT = Path(__file__).parents[3]
NO_LIMIT = 0
"""The `runtime` of a job that nobody ends."""


@dataclass(frozen=True)
class Allocation:
    """What the job was given."""

    cpus: int
    """Of one node."""
    gpu: int
    """Of all nodes together."""
    mem_mb: int
    """Of one node."""
    runtime: int
    """Minutes until a scheduler or the user ends the job; `NO_LIMIT` where nobody does."""
    nodes: int = 1
    threads: int = 1
    """Threads that each process computes with: the study's, whatever `cpus` is, because results depend on them."""
    accelerate: str = "none"
    """Name of a file in config/accelerate, or `none`: the command is started as it is."""
    code: str = ""
    """Fingerprint of the code that the command runs, for the record."""

    @property
    def processes(self) -> int:
        """Processes on one node: one for each GPU."""
        return max(1, self.gpu // self.nodes)

    def options(self) -> list[str]:
        """As the options of a command."""
        return [text for name, value in asdict(self).items() for text in (f"--{name.replace('_', '-')}", str(value))]

    def warning(self) -> float:
        """Seconds after the start at which training is told to save: a tenth before the limit, at most 10 minutes.

        Infinite for a job without a limit.
        """
        if self.runtime == NO_LIMIT:
            return math.inf
        return 60 * self.runtime - min(600.0, 6.0 * self.runtime)

    def environment(self) -> dict[str, str]:
        """The environment of the command: its threads, of which no library takes fewer where there are fewer cores."""
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        fixed = {"OMP_DYNAMIC": "FALSE", "MKL_DYNAMIC": "FALSE", "PYTHONUNBUFFERED": "1"}
        return os.environ | dict.fromkeys(names, str(self.threads)) | fixed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds an allocation's options to a command, as `Allocation.options` gives them."""
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--cpus", type=int, default=1, help="CPU cores of one node")
    parser.add_argument("--gpu", type=int, default=0, help="GPUs of all nodes together")
    parser.add_argument("--mem-mb", type=int, required=True, help="memory of one node")
    parser.add_argument("--runtime", type=int, default=NO_LIMIT, help="time limit, in minutes; 0: none")
    parser.add_argument("--threads", type=int, default=1, help="threads that each process computes with")
    parser.add_argument("--accelerate", default="none", help="file in config/accelerate, without .yaml; none: plain")
    parser.add_argument("--code", default="", help="fingerprint of the code that the command runs, for the record")


def from_arguments(arguments: argparse.Namespace) -> Allocation:
    """The allocation in a command's options."""
    return Allocation(**{each.name: getattr(arguments, each.name) for each in fields(Allocation)})


def command_line(given: Allocation, command: Sequence[str], held: Path) -> list[str]:
    """The command line of a job: plain Python, or `accelerate launch` with a process on each GPU of the allocation.

    On several nodes, `srun` starts `trustdag node` on each, which does that there and notes the memory that it holds in
    the folder `held`. Raises UserError for an accelerate configuration that is not there, or whose DeepSpeed is not,
    and for several nodes outside of Slurm.

    Args:
        given: what the job was given.
        command: arguments of `trustdag`.
        held: the folder for the memory of each node.
    """
    if given.accelerate == "none" or given.gpu == 0:
        return [sys.executable, "-m", "trustdag", *command]
    _check_configuration(_configuration(given))
    if given.nodes == 1:
        return _accelerate(given, ["--num_processes", str(given.gpu)], command)
    job = processes.slurm_job()
    if job is None or shutil.which("srun") is None:
        raise UserError(
            f"this job is to run on {given.nodes} nodes, and is not run by Slurm; start the study with"
            " `--profile slurm`, or give the rule fewer GPUs in `resources`"
        )
    step = ["srun", f"--jobid={job}", "--overlap", "--export=ALL", "--input=none", "--kill-on-bad-exit=1"]
    step += [
        f"--nodes={given.nodes}",
        f"--ntasks={given.nodes}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={given.cpus}",
    ]
    node = [sys.executable, "-m", "trustdag", "node", "--address", socket.gethostname(), "--port", str(_free_port())]
    node += ["--held", str(held), *given.options()]
    return [*step, *node, "--", *command]


def on_node(given: Allocation, rank: int, address: str, port: int, command: Sequence[str]) -> list[str]:
    """The part of the command that node `rank` (from 0) starts; all meet at the first node's address and port.

    Args:
        given: what the job was given, on each node.
        rank: the node's number, from 0.
        address: host name of the first node.
        port: port on the first node at which all meet.
        command: arguments of `trustdag`.
    """
    machines = ["--num_machines", str(given.nodes), "--machine_rank", str(rank)]
    meeting = ["--main_process_ip", address, "--main_process_port", str(port)]
    return _accelerate(given, ["--num_processes", str(given.gpu), *machines, *meeting], command)


def _accelerate(given: Allocation, options: list[str], command: Sequence[str]) -> list[str]:
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(_configuration(given))]
    return [*launcher, *options, "-m", "trustdag", *command]


def configurations() -> list[str]:
    """The names of the configurations of accelerate."""
    return sorted(path.stem for path in (ROOT / "config" / "accelerate").glob("*.yaml"))


def _configuration(given: Allocation) -> Path:
    return ROOT / "config" / "accelerate" / f"{given.accelerate}.yaml"


def _check_configuration(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path}: no such file; resources name it as `accelerate`")
    distributed = yaml.safe_load(path.read_text(encoding="utf-8")).get("distributed_type")
    if distributed == "DEEPSPEED" and importlib.util.find_spec("deepspeed") is None:
        raise UserError(
            f"{path}: needs DeepSpeed, which {sys.executable} does not have; install it there (`pip install "
            "deepspeed`), or name fsdp as `accelerate` in resources"
        )


def _free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as free:
        free.bind(("", 0))
        port: int = free.getsockname()[1]
        return port
