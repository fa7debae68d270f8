"""The headline metric of each vertical at each stage."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from trustdag.report.plot_settings import PlotSettings, has_policies
from trustdag.stats.design import StudyDesign

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Headline metric of each vertical at each stage"
NEEDS = "statistics"
CAPTION = (
    "Each vertical's headline metric, with its interval, on the same items for every stage. The dashed line is the "
    "score of guessing, if it is a constant."
)


class Settings(PlotSettings):
    """Settings of the plot of levels."""

    panel_height: float = Field(2.3, gt=0.5, le=40)
    """Height of one model's row of panels, in inches."""
    marker: float = Field(6, gt=0, le=40)
    """Size of the dots, in points."""


applies = has_policies


def draw(design: StudyDesign, results: Path, settings: Settings) -> "Figure":
    """One row of panels for each model and preference set, one column for each vertical.

    Args:
        design: The study's policies and verticals.
        results: The study's results folder.
        settings: The plot's settings.
    """
    from trustdag.report.changes import arm_name, arms, levels, of_arm
    from trustdag.report.draw import canvas, colors
    from trustdag.stats.tables import read

    values = levels(read(results / "statistics"))
    groups = arms(values)
    values = values[values["headline"].astype(bool)]
    recipes = list(dict.fromkeys(policy.recipe for policy in design.policies))
    palette = colors(recipes, settings)
    figure, axes = canvas(
        settings,
        len(groups),
        len(design.verticals),
        len(groups) * settings.panel_height + 0.3,
        sharex=True,
        sharey="col",
    )
    for row, arm in enumerate(groups):
        for column, vertical in enumerate(design.verticals):
            rows = of_arm(values[values["vertical"] == vertical], arm)
            _panel(axes[row, column], rows, recipes, palette, settings)
            if row == 0:
                axes[row, column].set_title(vertical)
        axes[row, 0].set_ylabel(arm_name(arm, groups))
    return figure


def _panel(axes: "Axes", rows: "pd.DataFrame", recipes: list[str], palette: dict[str, str], settings: Settings) -> None:
    from trustdag.report.draw import QUIET, hover, rows_of
    from trustdag.report.numbers import interval, number

    chance = rows["chance"].dropna()
    if rows["value"].isna().all():
        axes.text(0.5, 0.5, "no usable\nanswer", transform=axes.transAxes, ha="center", va="center", color=QUIET)
        axes.set_yticks([])
    elif len(chance):
        axes.axhline(chance.iloc[0], color=QUIET, linestyle=(0, (4, 3)), linewidth=1)
    for level in rows_of(rows):
        place, color = recipes.index(level["recipe"]), palette[level["recipe"]]
        axes.plot([place, place], [level["low"], level["high"]], color=color, linewidth=2)
        (dot,) = axes.plot(place, level["value"], "o", color=color, markersize=settings.marker)
        hover(
            dot,
            f"{level['recipe']}, {level['vertical']}: {number(level['value'])} {interval(level['low'], level['high'])}",
        )
    # Slanted names end at their tick, so that a long one does not run into the next.
    slant: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if len(recipes) > 3 else {}
    axes.set_xticks(range(len(recipes)), recipes, **slant)
    axes.set_xlim(-0.6, len(recipes) - 0.4)
    axes.margins(y=0.15)
    axes.grid(visible=False, axis="x")
