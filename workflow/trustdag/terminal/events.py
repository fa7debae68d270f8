"""Turns the events of a Snakemake run into the state of the run and what a person is told at once."""

import logging
from collections.abc import Callable
from typing import Any, Protocol

from trustdag.terminal.look import last_lines
from trustdag.terminal.run import StartedJob, StudyRun

LOG_LINES = 12
"""Lines at the end of a failed job's log that are shown."""
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
"""What Snakemake says by the way, by the beginning of the message. Its own log file in .snakemake/log has all of it."""


class Display(Protocol):
    """Something that shows a run: `LiveTable` or `PlainLines`."""

    def say(self, text: str, style: str = "") -> None:
        """Shows a line, in a style of rich."""

    def finished(self, job: StartedJob) -> None:
        """Shows that a job ended well."""

    def close(self) -> None:
        """Ends the display."""


class Events:
    """Takes one log record of Snakemake after the other."""

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
        """Handles one record: an event of a job, or a message, which is passed on unless it is noise."""
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
            for line in last_lines(job.log, LOG_LINES):
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
