"""Properties that both of trustdag's loggers answer alike. Imports nothing of trustdag."""

from snakemake_interface_logger_plugins.base import LogHandlerBase


class AllEvents(LogHandlerBase):
    """A log handler that receives every event, formats it itself, and does not need the graph of rules."""

    @property
    def has_filter(self) -> bool:
        """True: Snakemake attaches no filter of its own."""
        return True

    @property
    def has_formatter(self) -> bool:
        """True: Snakemake attaches no formatter of its own."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """False: the order of rules comes from Snakemake's counts of jobs."""
        return False
