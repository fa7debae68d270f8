"""Translates the events of a Snakemake run into the state of the run and lines for its display."""

import logging
from collections.abc import Callable
from typing import Any, Protocol

from trustdag.jobs.record import last_lines
from trustdag.terminal.run import StartedJob, StudyRun

NOISE = (
    "Using workflow specific profile",
    "Using profile",
    "Assuming unrestricted shared filesystem",
    "Building DAG of jobs",
    "Using shell",
    "Provided cores",
    "Rules claiming more threads",
    "Conda environments: ignored",
    "Singularity containers: ignored",
    "Select jobs to execute",
    "Execute ",
    "Complete log",
    "host: ",
    "Job ",
    "Storing output in cache",
    "Elapsed time",
)
"""Beginnings of routine messages that are not shown. Snakemake's own log file in .snakemake/log contains them."""


class Display(Protocol):
    """The interface of a display: `LiveTable` or `PlainLines`."""

    def say(self, text: str, style: str = "") -> None:
        """Shows a line, in a style of rich."""

    def finished(self, job: StartedJob) -> None:
        """Shows that a job succeeded."""

    def close(self) -> None:
        """Ends the display."""


class Events:
    """Handles the log records of Snakemake one by one."""

    def __init__(self, run: StudyRun, display: Display) -> None:
        self.run, self.display = run, display
        self._said = ""
        self._takers: dict[str, Callable[[Any], None]] = {
            "run_info": lambda event: self.run.plan(event.stats),
            "job_info": self._start,
            "job_finished": self._finish,
            "job_error": self._fail,
        }

    def take(self, record: logging.LogRecord) -> None:
        """Handles one record: an event of a job, or a message, which is shown unless it is in NOISE."""
        event = getattr(record, "event", None)
        if taker := self._takers.get(str(event)):
            taker(record)
        elif event is None or str(event) == "error":
            self._pass_on(record)

    def _start(self, event: Any) -> None:
        title = (event.rule_msg or event.rule_name).strip()
        log = next(iter(event.log or ()), None)
        record = dict(event.resources.items()).get("record")
        self.run.start(event.jobid, event.rule_name, title, log, record)

    def _finish(self, event: Any) -> None:
        if job := self.run.finish(event.job_id):
            self.display.finished(job)

    def _fail(self, event: Any) -> None:
        job = self.run.fail(event.jobid)
        title = job.title if job else event.rule_name
        self.display.say(f"Failed: {title}", "bold red")
        if job and job.log:
            for line in last_lines(job.log):
                self.display.say(f"  | {line}")
            self.display.say(f"  The whole log: {job.log}")

    def _pass_on(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        # The command of a failed job is in the log file; the job itself was shown when it failed.
        if getattr(record, "exception", None) in ("RuleException", "CalledProcessError") or text == self._said:
            return
        self._said = text
        if record.levelno >= logging.WARNING:
            self.display.say(text, "red" if record.levelno >= logging.ERROR else "yellow")
        elif text and text != "None" and not text.startswith(NOISE):
            self.display.say(text)
