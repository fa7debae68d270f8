"""The resources of a job, and its command line: plain, with several processes on a node's GPUs or CPU, or on nodes."""

import argparse
import importlib.util
import math
import os
import shutil
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from trustdag.errors import UserError
from trustdag.fingerprint import ROOT
from trustdag.jobs import processes
from trustdag.yamlfiles import read_yaml

PLAIN = "none"
"""The `accelerate` of a command that starts as it is."""
NO_LIMIT = 0
"""The `runtime` of a job without a time limit."""


@dataclass(frozen=True)
class Allocation:
    """The resources that were allocated to a job."""

    cpus: int
    """Of one node."""
    gpu: int
    """Of all nodes together."""
    mem_mb: int
    """Of one node."""
    runtime: int
    """Time limit in minutes; `NO_LIMIT` for none."""
    nodes: int = 1
    threads: int = 1
    """Threads of each process, set by the study. Results depend on them, so they do not follow `cpus`."""
    accelerate: str = PLAIN
    """Name of a file in config/accelerate, or `none` for a command without accelerate."""
    code: str = ""
    """Fingerprint of the code that the command runs, for the record."""

    @property
    def processes(self) -> int:
        """Processes on one node: one for each GPU."""
        return max(1, self.gpu // self.nodes)

    def options(self) -> list[str]:
        """The command-line options of the allocation."""
        return [text for name, value in asdict(self).items() for text in (f"--{name.replace('_', '-')}", str(value))]

    def warning(self) -> float:
        """Seconds after the start at which training must save: a tenth before the limit, at most 10 minutes.

        Infinite for a job without a limit.
        """
        if self.runtime == NO_LIMIT:
            return math.inf
        return 60 * self.runtime - min(600.0, 6.0 * self.runtime)

    def environment(self) -> dict[str, str]:
        """The environment of the command, which sets its threads. Libraries use that many also on fewer cores."""
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        fixed = {"OMP_DYNAMIC": "FALSE", "MKL_DYNAMIC": "FALSE", "PYTHONUNBUFFERED": "1"}
        return os.environ | dict.fromkeys(names, str(self.threads)) | fixed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `Allocation.options` to a command's parser."""
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--cpus", type=int, default=1, help="CPU cores of one node")
    parser.add_argument("--gpu", type=int, default=0, help="GPUs of all nodes together")
    parser.add_argument("--mem-mb", type=int, required=True, help="memory of one node")
    parser.add_argument("--runtime", type=int, default=NO_LIMIT, help="time limit, in minutes; 0: none")
    parser.add_argument("--threads", type=int, default=1, help="threads that each process computes with")
    parser.add_argument("--accelerate", default=PLAIN, help="file in config/accelerate, without .yaml; none: plain")
    parser.add_argument("--code", default="", help="fingerprint of the code that the command runs, for the record")


def from_arguments(arguments: argparse.Namespace) -> Allocation:
    """The allocation in a command's options."""
    return Allocation(**{field.name: getattr(arguments, field.name) for field in fields(Allocation)})


def on_machine(asked: Allocation, scheduled: bool, gpus: int) -> Allocation:
    """What a job has of what its rule asked for: without a scheduler, at most the GPUs that the machine has.

    Args:
        asked: what the rule asked for.
        scheduled: whether a scheduler gave it.
        gpus: GPUs of this machine.
    """
    if scheduled or asked.nodes > 1 or asked.gpu <= gpus:
        return asked
    return replace(asked, gpu=gpus, accelerate="gpu" if gpus == 1 else asked.accelerate)


def command_line(allocation: Allocation, command: Sequence[str], held: Path) -> list[str]:
    """The command line of a job: plain Python, or `accelerate launch` with a process on each GPU or several on the CPU.

    On several nodes, `srun` starts `trustdag node` on each, which starts `accelerate launch` and writes its memory to
    the folder `held`. Raises UserError for a missing accelerate configuration or DeepSpeed, and for several nodes
    without Slurm.

    Args:
        allocation: the resources of the job.
        command: arguments of `trustdag`.
        held: the folder for the memory of each node.
    """
    count = allocation.gpu or processes_on_cpu(allocation.accelerate, allocation.cpus, allocation.threads)
    if allocation.accelerate == PLAIN or (allocation.gpu == 0 and count == 1):
        return [sys.executable, "-m", "trustdag", *command]
    _check_configuration(_configuration(allocation.accelerate))
    if allocation.nodes == 1:
        return _accelerate(allocation, ["--num_processes", str(count)], command)
    job = processes.slurm_job()
    if job is None or shutil.which("srun") is None:
        raise UserError(
            f"this job needs {allocation.nodes} nodes, but Slurm does not run it; start the study with"
            " `--profile slurm`, or give the rule fewer GPUs in `resources`"
        )
    step = ["srun", f"--jobid={job}", "--overlap", "--export=ALL", "--input=none", "--kill-on-bad-exit=1"]
    step += [
        f"--nodes={allocation.nodes}",
        f"--ntasks={allocation.nodes}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={allocation.cpus}",
    ]
    node = [sys.executable, "-m", "trustdag", "node", "--address", socket.gethostname(), "--port", str(_free_port())]
    node += ["--held", str(held), *allocation.options()]
    return [*step, *node, "--", *command]


def on_node(allocation: Allocation, rank: int, address: str, port: int, command: Sequence[str]) -> list[str]:
    """The command that node `rank` (from 0) starts. All nodes connect to the first node's address and port.

    Args:
        allocation: the resources of the job.
        rank: the node's number, from 0.
        address: host name of the first node.
        port: port of the first node.
        command: arguments of `trustdag`.
    """
    machines = ["--num_machines", str(allocation.nodes), "--machine_rank", str(rank)]
    meeting = ["--main_process_ip", address, "--main_process_port", str(port)]
    return _accelerate(allocation, ["--num_processes", str(allocation.gpu), *machines, *meeting], command)


def _accelerate(allocation: Allocation, options: list[str], command: Sequence[str]) -> list[str]:
    configuration = str(_configuration(allocation.accelerate))
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", configuration]
    return [*launcher, *options, "-m", "trustdag", *command]


def configurations() -> list[str]:
    """The names of the configurations of accelerate, and `none` for a command that starts as it is."""
    return [PLAIN, *sorted(path.stem for path in (ROOT / "config" / "accelerate").glob("*.yaml"))]


def processes_on_cpu(accelerate: str, cpus: int, threads: int) -> int:
    """Processes of a job without GPUs: with a configuration for several, as many as its cores have threads for.

    Args:
        accelerate: Name of the job's configuration of accelerate.
        cpus: Cores of the job.
        threads: Threads of each process.
    """
    return max(1, cpus // threads) if is_several_on_cpu(accelerate) else 1


def is_several_on_cpu(accelerate: str) -> bool:
    """Whether a configuration of accelerate is for several processes on the CPU."""
    path = _configuration(accelerate)
    if accelerate == PLAIN or not path.is_file():
        return False
    content = read_yaml(path)
    return bool(content.get("use_cpu")) and content.get("distributed_type") != "NO"


def _configuration(accelerate: str) -> Path:
    return ROOT / "config" / "accelerate" / f"{accelerate}.yaml"


def _check_configuration(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path}: no such file; resources name it as `accelerate`")
    distributed = read_yaml(path).get("distributed_type")
    if distributed == "DEEPSPEED" and importlib.util.find_spec("deepspeed") is None:
        raise UserError(
            f"{path}: needs DeepSpeed, which {sys.executable} does not have; install it there (`pip install "
            "deepspeed`), or name fsdp as `accelerate` in resources"
        )


def _free_port() -> int:
    """A free port."""
    with socket.socket() as free:
        free.bind(("", 0))
        port: int = free.getsockname()[1]
        return port
