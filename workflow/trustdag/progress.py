"""Durations and tables as text, lines of progress, and their rate limit."""

import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

LINE = re.compile(
    r"(?P<name>[^:]+): (?P<done>\d+) of (?P<total>\d+) (?P<unit>[a-z]+)"
    r"(?:, (?P<details>.*?))??(?:, about (?P<left>[\d.]+ (?:s|min|h)(?: \d+ (?:s|min))?) left)?$"
)


def duration(seconds: float) -> str:
    """Seconds as `4.2 s`, `42 s`, `3 min 20 s`, `3 min` or `1 h 02 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def counted(count: int, noun: str) -> str:
    """A number with its noun: `1 model`, `2 models`."""
    return f"{count} {noun}{'s' if count != 1 else ''}"


def log_line(text: str) -> None:
    """Prints a line on stderr in one write, so that the lines of threads do not mix; `print` writes the end apart."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@dataclass(frozen=True)
class Progress:
    """The progress of a command. Every long command prints it in this form; `terminal` parses it from its log."""

    name: str
    """Name of the task, such as `dpo train` or a vertical."""
    done: int
    total: int
    unit: str
    """Name of the counted unit in the plural: `steps`, `replies`."""
    details: str = ""
    """Losses or rates, as text."""
    left: str = ""
    """The remaining time in the format of `duration`; empty if it is unknown or 0."""

    def __str__(self) -> str:
        """The line of progress: `dpo train: 10 of 40 steps, loss 0.5, about 42 s left`."""
        parts = [f"{self.name}: {self.done} of {self.total} {self.unit}"]
        parts += [self.details] if self.details else []
        parts += [f"about {self.left} left"] if self.left else []
        return ", ".join(parts)

    @classmethod
    def parse(cls, line: str) -> Self | None:
        """The progress in a line, or None for any other line."""
        match = LINE.match(line)
        if match is None:
            return None
        name, done, total, unit, details, left = match.groups(default="")
        return cls(name, int(done), int(total), unit, details, left)


class ProgressLines:
    """Prints `line` of the elapsed seconds on stderr, at most once every `interval` seconds."""

    def __init__(self, line: Callable[[float], str], interval: float = 5.0) -> None:
        self.line, self.interval = line, interval
        self.started = self.shown = time.monotonic()

    def maybe_show(self) -> None:
        """Prints the line if the last one is old enough."""
        if time.monotonic() - self.shown >= self.interval:
            self.show()

    def show(self) -> None:
        """Prints the line."""
        self.shown = time.monotonic()
        log_line(self.line(self.shown - self.started))
