"""Spread over training seeds: each seed's change since the base model, and the mean with its interval."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from trustdag.report.plot_settings import PlotSettings
from trustdag.stats.design import StudyDesign

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "Spread over training seeds"
NEEDS = "statistics"
CAPTION = (
    "Change of each vertical's headline metric since the base model: a small mark for each training seed; the dot is "
    "the mean over seeds, with an interval that takes both the seeds and the items for a sample."
)


class Settings(PlotSettings):
    """Settings of the plot of the spread over seeds."""

    panel_height: float = Field(2.6, gt=0.5, le=40)
    """Height of one model's row of panels, in inches."""
    marker: float = Field(6, gt=0, le=40)
    """Size of the dots, in points."""


def applies(design: StudyDesign) -> bool:
    """Whether some recipe was trained with several seeds, from a base model."""
    return any(group[0].reference_base for group in design.seed_groups())


def draw(design: StudyDesign, results: Path, settings: Settings) -> "Figure":
    """One row of panels for each model and preference set, one column for each vertical.

    Args:
        design: The study's policies and verticals.
        results: The study's results folder.
        settings: The plot's settings.
    """
    from trustdag.report.changes import arm_name, arms, levels, of_arm
    from trustdag.report.draw import QUIET, canvas, colors, hover, rows_of
    from trustdag.report.numbers import interval, signed
    from trustdag.stats.tables import read

    tables = read(results / "statistics")
    groups = arms(levels(tables))
    everywhere = list(dict.fromkeys(policy.recipe for policy in design.policies))
    recipes = list(dict.fromkeys(group[0].recipe for group in design.seed_groups()))
    palette = colors(everywhere, settings)
    figure, axes = canvas(
        settings, len(groups), len(design.verticals), len(groups) * settings.panel_height + 0.3, sharex=True
    )
    for row, arm in enumerate(groups):
        for panel, vertical in zip(axes[row], design.verticals, strict=True):
            single, mean = (_headlines(of_arm(table, arm), vertical) for table in (tables.differences, tables.seeds))
            panel.axhline(0, color=QUIET, linewidth=1.2)
            for place, recipe in enumerate(recipes):
                runs, whole = single[single["recipe"] == recipe], mean[mean["recipe"] == recipe]
                panel.plot([place + 0.22] * len(runs), runs["difference"], "_", color=palette[recipe], markersize=9)
                for level in rows_of(whole):
                    panel.plot([place, place], [level["low"], level["high"]], color=palette[recipe], linewidth=2)
                    (dot,) = panel.plot(place, level["value"], "o", color=palette[recipe], markersize=settings.marker)
                    hover(
                        dot, f"{recipe}, {vertical}: {signed(level['value'])} {interval(level['low'], level['high'])}"
                    )
            if single["difference"].isna().all():
                panel.text(0.5, 0.55, "not measured", transform=panel.transAxes, ha="center", va="bottom", color=QUIET)
            panel.set_xticks(range(len(recipes)), recipes, rotation=45 if len(recipes) > 3 else 0)
            panel.set_xlim(-0.6, len(recipes) - 0.4)
            panel.grid(visible=False, axis="x")
            if row == 0:
                panel.set_title(vertical)
        axes[row, 0].set_ylabel(arm_name(arm, groups) or "change since base")
    return figure


def _headlines(table: "pd.DataFrame", vertical: str) -> "pd.DataFrame":
    return table[(table["vertical"] == vertical) & table["headline"].astype(bool) & (table["reference"] == "base")]
