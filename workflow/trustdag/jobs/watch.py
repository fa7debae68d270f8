"""Watches a running command: measures its memory, warns it before the time limit, and forwards signals."""

import resource
import signal
import subprocess
import time
from collections.abc import Callable
from types import FrameType

from trustdag.jobs import processes

SAMPLE_SECONDS = 1.0
"""Seconds between two checks of memory and time."""


class Watch:
    """Watches a command on this machine."""

    def __init__(self, warning: float, note: Callable[[float], None]) -> None:
        """`warning`: seconds until the signal to save; `note`: is called with the memory in MB when it has grown."""
        self.warning, self.note = warning, note
        self.warned = False
        """Whether it got the signal to save because its time limit is near."""
        self.terminated = False
        """Whether this process got a signal to stop."""
        self.seconds = 0.0
        self.processor_seconds = 0.0
        """Processor time of its processes on this machine."""
        self.peak_mb = 0.0
        """Peak memory of all its processes together."""
        self._noted_mb = 0.0
        self._for = processes.ancestors_of_run()
        """The processes that the command works for; the command is stopped when they have ended."""
        self._child: subprocess.Popen[bytes] | None = None

    def run(self, command: list[str], output: int | None, environment: dict[str, str]) -> int:
        """Runs the command to its end; the exit code is negative for a signal, as subprocess gives it.

        Args:
            command: program and arguments.
            output: file descriptor for its output; None: that of this process.
            environment: variables to set in addition to those of this process.
        """
        handlers = {signal.SIGTERM: self._terminate, signal.SIGINT: self._terminate, signal.SIGUSR1: self._warn}
        previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        begin, used = time.monotonic(), _processor_seconds()
        try:
            # In its own session the command gets signals from this process only, and not also from the terminal.
            self._child = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
                preexec_fn=processes.end_with_parent,
            )
            while True:
                try:
                    return self._child.wait(SAMPLE_SECONDS)
                except subprocess.TimeoutExpired:
                    self._look(time.monotonic() - begin)
        finally:
            self.seconds = time.monotonic() - begin
            self.processor_seconds = _processor_seconds() - used
            for number, handler in previous.items():
                signal.signal(number, handler)

    def tell_to_save(self) -> bool:
        """Sends SIGUSR1 to the processes that handle it by saving a checkpoint. Returns True if there was one.

        Other commands run on until the limit.
        """
        savers = [pid for pid in self._ranks() if processes.catches(pid, signal.SIGUSR1)]
        for pid in savers:
            processes.send(pid, signal.SIGUSR1)
        return bool(savers)

    def tell_to_stop(self) -> None:
        """Sends SIGTERM to the processes of this package. `accelerate launch` would end before they saved."""
        for pid in self._ranks() or self._family():
            processes.send(pid, signal.SIGTERM)

    def held_mb(self) -> float:
        """Present memory of the command's processes."""
        return sum(map(processes.memory_mb, self._family()))

    def _look(self, seconds: float) -> None:
        self.peak_mb = max(self.peak_mb, self.held_mb())
        if self.peak_mb > 1.1 * self._noted_mb:
            self._noted_mb = self.peak_mb
            self.note(self.peak_mb)
        if seconds >= self.warning and not self.warned:
            self.warned = self.tell_to_save()
        if not self.terminated and any(processes.started(pid) != began for pid, began in self._for.items()):
            self.terminated = True
            self.tell_to_stop()

    def _warn(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.warned = self.tell_to_save()

    def _terminate(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.terminated = True
        self.tell_to_stop()

    def _family(self) -> list[int]:
        return [] if self._child is None else [self._child.pid, *processes.descendants(self._child.pid)]

    def _ranks(self) -> list[int]:
        return [pid for pid in self._family() if _is_ours(processes.arguments(pid))]


def _processor_seconds() -> float:
    """Processor time of all processes that we started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _is_ours(arguments: list[str]) -> bool:
    """Whether a command line is `python -m trustdag ...`, and not the launcher that starts it."""
    return arguments[1:3] == ["-m", "trustdag"] or arguments[1:4] == ["-u", "-m", "trustdag"]
