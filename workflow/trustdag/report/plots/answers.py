"""Shares of items with a usable answer and with each other status."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from trustdag.report.plot_settings import PlotSettings, has_policies
from trustdag.stats.design import StudyDesign

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "How many items gave a usable answer"
NEEDS = "statistics"
CAPTION = (
    "Share of each vertical's items, at its headline metric, whose reply could be parsed, could not be parsed, "
    "contradicted itself, was a refusal, or failed. A metric is over the parsed ones alone; none of the others counts "
    "as 0."
)
STATUSES = ("parsed", "unparsed", "conflicting", "refused", "failed")


class Settings(PlotSettings):
    """Settings of the plot of answers."""

    colors: tuple[str, ...] = Field(("#d5cdea", "#a895d2", "#7f67b8", "#58408f", "#331f66"), min_length=5)
    """Colors of parsed, unparsed, conflicting, refused and failed."""
    bar_height: float = Field(0.2, gt=0.05, le=40)
    """Height of one policy's bar, in inches."""


applies = has_policies


def draw(design: StudyDesign, results: Path, settings: Settings) -> "Figure":
    """One panel for each vertical, with one bar for each policy.

    Args:
        design: The study's policies and verticals.
        results: The study's results folder.
        settings: The plot's settings.
    """
    from trustdag.report.draw import canvas, hover, legend
    from trustdag.stats.tables import read

    metrics = read(results / "statistics").metrics
    metrics = metrics[metrics["headline"].astype(bool)]
    names = _names(design)
    height = len(names) * settings.bar_height + 1
    figure, axes = canvas(settings, 1, len(design.verticals), height, sharey=True, sharex=True)
    for panel, vertical in zip(axes[0], design.verticals, strict=True):
        rows = metrics[metrics["vertical"] == vertical].set_index("policy").reindex(list(names))
        start = rows["n"] * 0.0
        for status, color in zip(STATUSES, settings.colors, strict=False):
            share = rows[status] / rows["n"]
            bars = panel.barh(range(len(names)), share, left=start, color=color, label=status, height=0.75)
            for bar, name, count, asked in zip(bars, names.values(), rows[status], rows["n"], strict=True):
                hover(bar, f"{vertical}, {name}: {count:.0f} of {asked:.0f} {status}")
            start = start + share
        panel.set_title(vertical)
        panel.set_yticks(range(len(names)), names.values())
        panel.set_xlim(0, 1)
        panel.set_xticks([0, 0.5, 1], ["0", "½", "1"])
        panel.grid(visible=False)
    axes[0, 0].invert_yaxis()
    legend(figure, axes[0, 0])
    return figure


def _names(design: StudyDesign) -> dict[str, str]:
    """A short name for each policy: its recipe, and its differences from other policies of the recipe."""
    several_models = len({policy.model for policy in design.policies}) > 1
    several_sets = len({policy.preferences for policy in design.policies if policy.preferences}) > 1
    several_seeds = bool(design.seed_groups())
    names = {}
    for policy in design.policies:
        parts = [policy.model] if several_models else []
        parts += [policy.preferences] if several_sets and policy.preferences else []
        parts += [policy.recipe]
        parts += [f"seed {policy.seed}"] if several_seeds and policy.seed is not None else []
        names[policy.id] = " ".join(parts)
    return names
