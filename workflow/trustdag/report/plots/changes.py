"""The study's answer in one plot: the change of each vertical's headline metric, from base and from SFT."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from trustdag.report.plot_settings import PlotSettings
from trustdag.stats.design import StudyDesign

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Change of each vertical's headline metric"
NEEDS = "statistics"
CAPTION = (
    "Paired difference of each vertical's headline metric, with its interval. A filled dot is a change that is still "
    "found after Holm's correction over all headline changes; a hollow one is not. The cards say what it means: a "
    "model that does not understand the task is not judged. The arrow beside a vertical points to where the model "
    "would be more trustworthy."
)
ARROWS = {"lower": "← better", "higher": "better →"}


class Settings(PlotSettings):
    """Settings of the plot of changes."""

    marker: float = Field(6, gt=0, le=40)
    """Size of the dots, in points."""
    row_height: float = Field(0.27, gt=0, le=40)
    """Height of one dot's line, in inches."""


def applies(design: StudyDesign) -> bool:
    """Whether some policy is compared with another."""
    return any(design.references(policy) for policy in design.policies)


def draw(design: StudyDesign, results: Path, settings: Settings) -> "Figure":
    """One row of panels for each model and preference set, one column for each reference.

    Args:
        design: The study's policies and verticals.
        results: The study's results folder.
        settings: The plot's settings.
    """
    from trustdag.report.changes import arm_name, arms, changes, levels, of_arm
    from trustdag.report.draw import canvas, colors, legend
    from trustdag.stats.tables import read

    tables = read(results / "statistics")
    headlines = changes(tables)
    headlines = headlines[headlines["headline"].astype(bool)]
    groups = arms(levels(tables))
    references = [name for name in ("base", "sft") if (headlines["reference"] == name).any()]
    recipes = list(dict.fromkeys(policy.recipe for policy in design.policies))
    shown = [recipe for recipe in recipes if (headlines["recipe"] == recipe).any()]
    palette = {name: color for name, color in colors(recipes, settings).items() if name in shown}
    height = len(groups) * (len(design.verticals) * (len(shown) + 1) * settings.row_height + 0.6) + 0.5
    figure, axes = canvas(settings, len(groups), len(references), height, sharey="row", sharex=True)
    for row, arm in enumerate(groups):
        for column, reference in enumerate(references):
            rows = of_arm(headlines[headlines["reference"] == reference], arm)
            _panel(axes[row, column], rows, design.verticals, palette, settings)
            heading = arm_name(arm, groups) if column == 0 else ""
            since = "since the base model" if reference == "base" else "since SFT"
            axes[row, column].set_title(f"{heading}\n{since}" if len(groups) > 1 else since)
            axes[row, column].label_outer()
    legend(figure, axes[0, 0])
    return figure


def _panel(
    axes: "Axes", rows: "pd.DataFrame", verticals: tuple[str, ...], palette: dict[str, str], settings: Settings
) -> None:
    from trustdag.report.draw import QUIET, hover, rows_of

    step = 1 / (len(palette) + 1)
    labels = []
    for place, vertical in enumerate(verticals):
        of_vertical = rows[rows["vertical"] == vertical]
        better = of_vertical["direction"].iloc[0] if len(of_vertical) else ""
        labels.append(f"{vertical}\n{ARROWS.get(better, '')}".strip())
        if of_vertical["change"].isna().all():
            axes.text(0.02, place, "not measured", transform=axes.get_yaxis_transform(), va="center", color=QUIET)
        if place:
            axes.axhline(place - 0.5, color="#eef1f4", linewidth=1)
        for number, (recipe, color) in enumerate(palette.items()):
            for change in rows_of(of_vertical[of_vertical["recipe"] == recipe]):
                height = place + (number - (len(palette) - 1) / 2) * step
                certain = change["verdict"] in ("rose", "fell")
                axes.plot(
                    [change["low"], change["high"]], [height, height], color=color, solid_capstyle="butt", linewidth=2
                )
                (dot,) = axes.plot(
                    change["change"],
                    height,
                    "o",
                    color=color,
                    markerfacecolor=color if certain else "white",
                    markeredgewidth=1.5,
                    markersize=settings.marker,
                )
                hover(dot, _told(change))
    for recipe, color in palette.items():
        axes.plot([], [], "o-", color=color, label=recipe)
    axes.axvline(0, color=QUIET, linewidth=1.2)
    axes.set_yticks(range(len(verticals)), labels)
    axes.set_ylim(len(verticals) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel("difference")


def _told(change: dict[str, Any]) -> str:
    """A change in words, for the pointer."""
    from trustdag.report.answer import kind_of, pairs_of
    from trustdag.report.numbers import interval, signed, title

    name = f"{change['recipe']}, {title(change['vertical'])} ({title(change['metric'])})"
    number = f"{signed(change['change'])} {interval(change['low'], change['high'])}"
    return f"{name}: {number}, {kind_of(change)}, over {pairs_of(change)}"
