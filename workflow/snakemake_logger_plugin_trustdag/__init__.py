"""The logger `snakemake --logger trustdag`: a table of rules with progress on a terminal, plain lines elsewhere.

Snakemake finds the plugin by this module's name and imports it at every start, before it reads the workflow. So this
module imports trustdag only after the workflow has imported its own copy of the package. A dry run keeps Snakemake's
own output.
"""

import sys
from logging import LogRecord
from typing import TYPE_CHECKING

from snakemake_logger_plugin_trustdag.base import AllEvents

if TYPE_CHECKING:
    from trustdag.terminal.events import Display, Events
    from trustdag.terminal.run import StudyRun


class LogHandler(AllEvents):
    """Shows the progress of a run."""

    def __post_init__(self) -> None:
        self._held: list[LogRecord] = []
        self._events: Events | None = None

    def emit(self, record: LogRecord) -> None:
        """Shows one log record. Records from before the workflow was read are held back until it is."""
        if self.common_settings.dryrun:
            return
        self._held.append(record)
        if "trustdag" in sys.modules or getattr(record, "event", None) is not None:
            self._show()

    def _show(self) -> None:
        if self._events is None:
            from trustdag.terminal.events import Events
            from trustdag.terminal.run import StudyRun

            run = StudyRun()
            self._events = Events(run, self._display(run))
        for record in self._held:
            self._events.take(record)
        self._held.clear()

    def _display(self, run: "StudyRun") -> "Display":
        stream = sys.stdout if self.common_settings.stdout else sys.stderr
        if not stream.isatty():
            from trustdag.terminal.lines import PlainLines

            return PlainLines(run, stream)
        from rich.console import Console

        from trustdag.terminal.live import LiveTable

        return LiveTable(run, Console(file=stream, no_color=self.common_settings.nocolor or None))

    def close(self) -> None:
        """Shows the records held back and closes the display. A second call does nothing."""
        if self._held:
            self._show()
        if self._events is not None:
            self._events.display.close()
            self._events = None
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        """Whether it replaces Snakemake's own output."""
        return not self.common_settings.dryrun

    @property
    def writes_to_file(self) -> bool:
        """False."""
        return False
