"""Spread over training seeds."""

from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.report.plot_settings import PlotSettings
from trustdag.stats.study import Cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Spread over training seeds"
NEEDS = "statistics"
CAPTION = ""


class Settings(PlotSettings):
    """Spread over training seeds."""


def applies(cells: Cells) -> bool:
    return bool(cells.seed_groups())


def draw(cells: Cells, results: Path, settings: Settings) -> "Figure":
    raise NotImplementedError
