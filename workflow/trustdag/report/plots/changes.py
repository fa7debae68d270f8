"""Change of each vertical's headline metric."""

from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.report.plot_settings import PlotSettings
from trustdag.stats.study import Cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Change of each vertical's headline metric"
NEEDS = "statistics"
CAPTION = ""


class Settings(PlotSettings):
    """Change of each vertical's headline metric."""


def applies(cells: Cells) -> bool:
    return len(cells.policies) > 0


def draw(cells: Cells, results: Path, settings: Settings) -> "Figure":
    raise NotImplementedError
