"""The settings of the report: its page, and each of its plots."""

from types import ModuleType
from typing import Any

from pydantic import Field, create_model

from trustdag.report import plots
from trustdag.settings import MOST, Section


class PageSettings(Section):
    """What the page shows; a change re-runs the page alone."""

    title: str = "Does alignment make the model more trustworthy?"
    """Heading of the page."""
    examples: int = Field(2, ge=0, le=50)
    """Items of each vertical and condition whose replies are shown side by side."""
    attributed_pairs: int = Field(3, ge=1, le=50)
    """Training pairs that are shown from either end of an attribution's ranking."""
    reply_characters: int = Field(600, ge=20, le=MOST)
    """Longest reply shown as an example; longer ones are cut, with a mark."""
    replies_inside: float = Field(2, ge=0, le=1000)
    """Megabytes of replies that the page itself may hold for its search; more lie in files beside its tables."""


def _entry(plot: ModuleType) -> Any:
    return (plot.Settings, Field(plot.Settings(), description=plot.TITLE))


Plots: Any = create_model(
    "Plots",
    __base__=Section,
    __doc__="Each plot's settings; a change re-draws that plot and re-writes the page.",
    **{name: _entry(plots.module(name)) for name in plots.names()},
)


class ReportSettings(Section):
    """The report."""

    page: PageSettings = PageSettings()
    """The page, without its plots."""
    plots: Plots = Plots()
    """The plots, by name."""
