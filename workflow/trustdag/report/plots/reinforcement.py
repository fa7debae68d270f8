"""Reward and KL divergence during PPO."""

from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.report.plot_settings import PlotSettings
from trustdag.stats.study import Cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Reward and KL divergence during PPO"
NEEDS = "metrics"
CAPTION = ""


class Settings(PlotSettings):
    """Reward and KL divergence during PPO."""


def applies(cells: Cells) -> bool:
    return any("ppo" in policy.methods for policy in cells.policies)


def draw(cells: Cells, results: Path, settings: Settings) -> "Figure":
    raise NotImplementedError
