"""The logger `snakemake --logger trustdag`: rules as rows with progress on a terminal, plain lines elsewhere.

Snakemake finds the plugin by this module's name. A dry run keeps Snakemake's own output.
"""

import sys
from logging import LogRecord

from snakemake_interface_logger_plugins.base import LogHandlerBase

from trustdag.terminal.events import Display, Events
from trustdag.terminal.lines import PlainLines
from trustdag.terminal.live import LiveTable
from trustdag.terminal.run import StudyRun


class LogHandler(LogHandlerBase):
    """Shows the run while it goes on."""

    def __post_init__(self) -> None:
        self._display: Display | None = None
        self._events: Events | None = None
        if not self.common_settings.dryrun:
            run = StudyRun()
            self._display = self._display_of(run)
            self._events = Events(run, self._display)

    def _display_of(self, run: StudyRun) -> Display:
        stream = sys.stdout if self.common_settings.stdout else sys.stderr
        if not stream.isatty():
            return PlainLines(run, stream)
        from rich.console import Console

        return LiveTable(run, Console(file=stream, no_color=self.common_settings.nocolor or None))

    def emit(self, record: LogRecord) -> None:
        """Shows one record of Snakemake's."""
        if self._events is not None:
            self._events.take(record)

    def close(self) -> None:
        """Ends the display, once."""
        display, self._display = self._display, None
        if display is not None:
            display.close()
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        """Whether it takes the place of Snakemake's own output."""
        return not self.common_settings.dryrun

    @property
    def writes_to_file(self) -> bool:
        """It writes to no file."""
        return False

    @property
    def has_filter(self) -> bool:
        """It takes all events."""
        return True

    @property
    def has_formatter(self) -> bool:
        """It words events itself."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """Rules stand in the order in which Snakemake counts them."""
        return False
