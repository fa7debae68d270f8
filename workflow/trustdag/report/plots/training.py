"""Training curves."""

from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.report.plot_settings import PlotSettings
from trustdag.stats.study import Cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Training curves"
NEEDS = "metrics"
CAPTION = ""


class Settings(PlotSettings):
    """Training curves."""


def applies(cells: Cells) -> bool:
    return any(policy.methods for policy in cells.policies)


def draw(cells: Cells, results: Path, settings: Settings) -> "Figure":
    raise NotImplementedError
