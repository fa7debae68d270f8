"""Live table for terminals: a row for each rule, and the running jobs with their progress."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trustdag.progress import duration
from trustdag.terminal.look import Look, look_at
from trustdag.terminal.run import StartedJob, StudyRun

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

SHOWN = 12
"""Largest number of running jobs that are listed; the others are counted."""
AROUND = 5
"""Lines beside those of rules and jobs: the heading, blank ones, the count of further jobs."""
PER_SECOND = 2.0
"""Refreshes of the table per second."""


class LiveTable:
    """Shows a run on a terminal until it is closed. Lines printed meanwhile appear above the table."""

    def __init__(self, run: StudyRun, console: "Console") -> None:
        from rich.live import Live

        self.run, self.console = run, console
        self._live = Live(
            get_renderable=self.draw, console=console, refresh_per_second=PER_SECOND, transient=True, screen=False
        )
        self._live.start()

    def say(self, text: str, style: str = "") -> None:
        """Prints a line above the table."""
        self.console.print(text, style=style or None, markup=False, highlight=False, soft_wrap=True)

    def finished(self, job: StartedJob) -> None:
        """Does nothing, as the table shows finished jobs itself."""

    def close(self) -> None:
        """Removes the table and prints the result of the run."""
        self._live.stop()
        if self.run.total:
            self.say(closing(self.run))

    def draw(self) -> "RenderableType":
        """The table with the present state of the run."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        if not self.run.total:
            return Text("Reading the study ...", style="dim")
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(width=12)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for rule, count in self.run.planned.items():
            done, failed = self.run.finished[rule], self.run.failed[rule]
            active = any(job.rule == rule for job in self.run.running.values())
            style = "red" if failed else "bold" if active else "green" if done == count else "dim"
            note = f"{failed} failed attempts" if failed > 1 else "1 failed attempt" if failed else ""
            table.add_row(
                Text(rule, style), Text(f"{done} of {count}", style), ProgressBar(count, done, width=12), Text(note)
            )
        return Group(Text(""), Text(heading(self.run), style="bold"), table, *self._running(), Text(""))

    def _running(self) -> "Iterator[RenderableType]":
        """A line for each of the first running jobs, and one with the number of the others."""
        from rich.text import Text

        jobs = list(self.run.running.values())
        # The table must fit the window: what is below its end would not be seen.
        shown = max(1, min(SHOWN, self.console.height - len(self.run.planned) - AROUND))
        for job in jobs[:shown]:
            text = Text("  ", no_wrap=True, overflow="ellipsis")
            text.append(job.title, "bold cyan").append(f"  {described(job, look_at(job), self.run)}")
            yield text
        if len(jobs) > shown:
            yield Text(f"  and {len(jobs) - shown} more", style="dim")


def heading(run: StudyRun) -> str:
    """Jobs done, elapsed time and remaining time."""
    left = run.left()
    remaining = f", about {duration(left)} left" if left is not None and run.done < run.total else ""
    return f"{run.done} of {run.total} jobs, {duration(run.elapsed)}{remaining}"


def closing(run: StudyRun) -> str:
    """The last line of a run."""
    failed = run.failed.total()
    attempts = f", {failed} failed {'attempt' if failed == 1 else 'attempts'}" if failed else ""
    return f"{run.done} of {run.total} jobs done in {duration(run.elapsed)}{attempts}"


def described(job: StartedJob, look: Look, run: StudyRun) -> str:
    """A job's status in one line: progress, details, remaining time, memory.

    Args:
        job: The job.
        look: The job's progress and memory.
        run: The run; its clock is used.
    """
    if look.waits:
        return f"waits for {duration(run.clock() - job.since)}"
    parts = [duration(run.clock() - job.since)]
    if look.progress is not None:
        progress = look.progress
        parts.append(f"{progress.done} of {progress.total} {progress.unit}")
        parts += [f"about {progress.left} left"] if progress.left else []
    parts += [f"{look.memory_mb:,.0f} MB"] if look.memory_mb else []
    parts += [look.progress.details] if look.progress is not None and look.progress.details else []
    return ", ".join(parts)
