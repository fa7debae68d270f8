"""A job on several nodes: what is done on each of them, and the watch over all of them from the first."""

import math
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from trustdag.jobs import processes
from trustdag.jobs.allocation import Allocation, on_node
from trustdag.jobs.watch import Watch


class WatchOfNodes(Watch):
    """Looks after the command of a Slurm job that `srun` has started on every node."""

    def __init__(self, warning: float, note: Callable[[float], None], held: Path) -> None:
        """`held`: the folder in which each node notes the memory that it holds."""
        super().__init__(warning, note)
        self.held = held

    def run(self, command: list[str], output: int | None, environment: dict[str, str]) -> int:
        """As for one node; the nodes' notes go with it.

        Args:
            command: program and arguments.
            output: file descriptor for its output; None leaves it to ours.
            environment: variables to set beside ours.
        """
        shutil.rmtree(self.held, ignore_errors=True)  # of an attempt that died without a word
        try:
            return super().run(command, output, environment)
        finally:
            shutil.rmtree(self.held, ignore_errors=True)

    def tell_to_save(self) -> bool:
        """Has Slurm send SIGUSR1 to the job's steps, and so to `trustdag node` on every node."""
        return processes.signal_steps("USR1")

    def tell_to_stop(self) -> None:
        """Has Slurm send SIGTERM to the job's steps: `srun` would kill them where it got that signal itself."""
        processes.signal_steps("TERM")

    def held_mb(self) -> float:
        """Memory of the node that holds most."""
        return max((float(path.read_text()) for path in self.held.glob("[0-9]*")), default=0.0)


def run(given: Allocation, address: str, port: int, held: Path, command: Sequence[str]) -> int:
    """This node's part of a job; its exit code.

    Args:
        given: what the job was given, on each node.
        address: host name of the first node.
        port: port on the first node at which all meet.
        held: the folder in which the node notes its memory.
        command: arguments of `trustdag`.
    """
    rank = int(os.environ["SLURM_NODEID"])
    held.mkdir(parents=True, exist_ok=True)
    # The first node looks at the time, for all.
    watch = Watch(math.inf, lambda megabytes: _note(held, rank, megabytes))
    code = watch.run(on_node(given, rank, address, port, command), None, given.environment())
    return code if code >= 0 else 128 - code


def _note(held: Path, rank: int, megabytes: float) -> None:
    partial = held / f".{rank}"
    partial.write_text(f"{megabytes:.0f}", encoding="utf-8")
    partial.replace(held / str(rank))
