"""Display as plain lines for logs, pipes and CI: one when a job ends, and one a minute for each long job."""

import threading
from typing import TextIO

from trustdag.progress import duration
from trustdag.terminal.live import closing, described, heading
from trustdag.terminal.look import look_at
from trustdag.terminal.run import StartedJob, StudyRun

INTERVAL = 60.0
"""Seconds between two lines about a running job."""


class PlainLines:
    """Writes the events of a run to a stream, one line each."""

    def __init__(self, run: StudyRun, out: TextIO, interval: float = INTERVAL) -> None:
        self.run, self.out, self.interval = run, out, interval
        self._ended = threading.Event()
        self._reminder = threading.Thread(target=self._remind, daemon=True)
        self._reminder.start()

    def say(self, text: str, style: str = "") -> None:  # noqa: ARG002
        """Writes a line."""
        print(text, file=self.out, flush=True)

    def finished(self, job: StartedJob) -> None:
        """Writes the job, its duration, and the progress of the run."""
        self.say(f"{job.title}: done in {duration(self.run.clock() - job.since)} ({heading(self.run)})")

    def close(self) -> None:
        """Writes the result of the run."""
        self._ended.set()
        self._reminder.join()
        if self.run.total:
            self.say(closing(self.run))

    def _remind(self) -> None:
        while not self._ended.wait(self.interval):
            for job in list(self.run.running.values()):
                if self.run.clock() - job.since >= self.interval:
                    self.say(f"{job.title}: {described(job, look_at(job), self.run)}")
