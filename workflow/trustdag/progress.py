"""How long something takes, in words, and lines of progress that are not too many."""

import sys
import time
from collections.abc import Callable


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


class ProgressLines:
    """Prints on stderr what `line` says of the elapsed seconds: when asked, at most once every `interval` seconds."""

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
        print(self.line(self.shown - self.started), file=sys.stderr, flush=True)
