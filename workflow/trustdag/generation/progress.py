"""Progress of a generation run and its remaining time, on stderr."""

import sys
import time
from typing import TextIO

from trustdag.progress import duration


class ReplyProgress:
    """Counts replies and prints at most one line every `interval` seconds, and one at the end.

    The remaining time is estimated from tokens, because batches come longest first.
    """

    def __init__(self, name: str, replies: int, work: int, out: TextIO | None = None, interval: float = 5.0) -> None:
        self.name, self.replies, self.work = name, replies, work
        self.out, self.interval = out or sys.stderr, interval
        self.done = self.worked = 0
        self.started = self.shown = time.monotonic()

    def add(self, replies: int, work: int) -> None:
        """Adds finished replies and the tokens that they took."""
        self.done += replies
        self.worked += work
        now = time.monotonic()
        if now - self.shown >= self.interval or self.done == self.replies:
            self.shown = now
            print(self.line(now - self.started), file=self.out, flush=True)

    def line(self, elapsed: float) -> str:
        """The state after `elapsed` seconds, as a line of text."""
        rate = self.done / max(elapsed, 1e-9)
        if self.done == self.replies:
            return f"{self.name}: {self.done} replies in {duration(elapsed)} ({rate:.1f}/s)"
        left = elapsed * (self.work - self.worked) / max(self.worked, 1)
        return f"{self.name}: {self.done} of {self.replies} replies ({rate:.1f}/s), about {duration(left)} left"
