"""Headline metric of each vertical at each stage."""

from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.report.plot_settings import PlotSettings
from trustdag.stats.study import Cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Headline metric of each vertical at each stage"
NEEDS = "statistics"
CAPTION = ""


class Settings(PlotSettings):
    """Headline metric of each vertical at each stage."""


def applies(cells: Cells) -> bool:
    return len(cells.policies) > 0


def draw(cells: Cells, results: Path, settings: Settings) -> "Figure":
    raise NotImplementedError
