"""The settings of the report: its page, and each of its plots."""

from types import ModuleType
from typing import Any

from pydantic import Field, create_model

from trustdag.report import plots
from trustdag.settings import MOST, Section


class PageSettings(Section):
    """Settings of the page. A change re-runs only the page."""

    title: str = "Does alignment make the model more trustworthy?"
    """Heading of the page."""
    examples: int = Field(2, ge=0, le=50)
    """Number of example items of each vertical and condition."""
    attributed_pairs: int = Field(3, ge=1, le=50)
    """Number of training pairs from each end of an attribution's ranking."""
    reply_characters: int = Field(600, ge=20, le=MOST)
    """Longest reply in an example, in characters; longer ones are truncated, with a mark."""
    replies_inside: float = Field(2, ge=0, le=1000)
    """Megabytes of replies that the page itself may hold for its search; more lie in files beside its tables."""


def _entry(plot: ModuleType) -> Any:
    return (plot.Settings, Field(plot.Settings(), description=plot.TITLE))


Plots: Any = create_model(
    "Plots",
    __base__=Section,
    __doc__="Settings of each plot. A change re-runs only that plot and the page.",
    **{name: _entry(plots.module(name)) for name in plots.names()},
)


class ReportSettings(Section):
    """The report."""

    page: PageSettings = PageSettings()
    """Settings of the page, without its plots."""
    plots: Plots = Plots()
    """Settings of the plots, by name."""
