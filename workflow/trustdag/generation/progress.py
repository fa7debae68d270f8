"""Progress of a generation run and its remaining time, on stderr."""

from trustdag.progress import Progress, ProgressLines, duration


class ReplyProgress:
    """Counts replies, and prints their progress at intervals and at the end.

    The remaining time is estimated from tokens, because the longest batches come first.
    """

    def __init__(self, name: str, replies: int, work: int) -> None:
        self.name, self.replies, self.work = name, replies, work
        self.done = self.worked = 0
        self._lines = ProgressLines(lambda seconds: str(self.after(seconds)))

    def add(self, replies: int, work: int) -> None:
        """Adds finished replies and their tokens."""
        self.done += replies
        self.worked += work
        if self.done == self.replies:
            self._lines.show()
        else:
            self._lines.maybe_show()

    def after(self, elapsed: float) -> Progress:
        """The state after `elapsed` seconds."""
        rate = f"{self.done / max(elapsed, 1e-9):.1f}/s"
        left = elapsed * (self.work - self.worked) / max(self.worked, 1)
        remaining = duration(left) if self.done < self.replies else ""
        return Progress(self.name, self.done, self.replies, "replies", rate, remaining)
