"""A job on several nodes: the part of each node, and the watch over all nodes, which the first node keeps."""

import math
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from trustdag.jobs import processes
from trustdag.jobs.allocation import Allocation, on_node
from trustdag.jobs.watch import Watch


class WatchOfNodes(Watch):
    """Watches the command of a Slurm job that `srun` started on every node."""

    def __init__(self, warning: float, note: Callable[[float], None], held: Path) -> None:
        """`held` is the folder to which each node writes its memory."""
        super().__init__(warning, note)
        self.held = held

    def run(self, command: list[str], output: int | None, environment: dict[str, str]) -> int:
        """As for one node; also removes the nodes' files of their memory.

        Args:
            command: program and arguments.
            output: file descriptor for its output; None: that of this process.
            environment: variables to set in addition to those of this process.
        """
        shutil.rmtree(self.held, ignore_errors=True)  # left by an attempt that was killed
        try:
            return super().run(command, output, environment)
        finally:
            shutil.rmtree(self.held, ignore_errors=True)

    def tell_to_save(self) -> bool:
        """Sends SIGUSR1 through Slurm to the job's steps, and so to `trustdag node` on every node."""
        return processes.signal_steps("USR1")

    def tell_to_stop(self) -> None:
        """Sends SIGTERM through Slurm to the job's steps. `srun` would kill them if it got the signal itself."""
        processes.signal_steps("TERM")

    def held_mb(self) -> float:
        """Memory of the node that uses the most."""
        return max((float(path.read_text()) for path in self.held.glob("[0-9]*")), default=0.0)


def run(allocation: Allocation, address: str, port: int, held: Path, command: Sequence[str]) -> int:
    """Runs this node's part of a job and returns its exit code.

    Args:
        allocation: the resources of the job.
        address: host name of the first node.
        port: port of the first node.
        held: the folder to which the node writes its memory.
        command: arguments of `trustdag`.
    """
    rank = int(os.environ["SLURM_NODEID"])
    held.mkdir(parents=True, exist_ok=True)
    # The first node looks at the time, for all.
    watch = Watch(math.inf, lambda megabytes: _note(held, rank, megabytes))
    code = watch.run(on_node(allocation, rank, address, port, command), None, allocation.environment())
    return code if code >= 0 else 128 - code


def _note(held: Path, rank: int, megabytes: float) -> None:
    partial = held / f".{rank}"
    partial.write_text(f"{megabytes:.0f}", encoding="utf-8")
    partial.replace(held / str(rank))
