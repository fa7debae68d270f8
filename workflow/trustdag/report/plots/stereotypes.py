"""Stereotypical bias by topic and by group, as a heat map."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from trustdag.report.plot_settings import PlotSettings
from trustdag.settings import mend_of_name
from trustdag.stats.design import StudyDesign

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    from trustdag.stats.tables import Tables

TITLE = "Stereotypical bias by topic and group"
NEEDS = "statistics"
CAPTION = (
    "Agreement with stereotypes minus agreement with their opposites, so that agreeing with everything is 0, for each "
    "topic and each group at each stage. An arrow marks a change since the base model that is still found after Holm's "
    "correction over the topics, or over the groups."
)
MARKS = {"rose": " ▲", "fell": " ▼"}


class Settings(PlotSettings):
    """Settings of the heat map of stereotypes."""

    metric: Literal["stereotype_index", "agreement", "likelihood_stereotype_index", "likelihood_agreement"] = (
        "stereotype_index"
    )
    """The metric of `bias` to show."""
    row_height: float = Field(0.24, gt=0, le=40)
    """Height of one topic's or group's line, in inches."""
    color_map: str = "PuOr_r"
    """Matplotlib's name of a diverging color map. Its middle is the score of guessing."""

    @field_validator("color_map")
    @classmethod
    def _map_is_known(cls, color_map: str) -> str:
        if color_map != "PuOr_r":  # matplotlib takes a second to import
            from matplotlib import colormaps

            if color_map not in colormaps:
                raise ValueError(mend_of_name(color_map, colormaps, "matplotlib"))
        return color_map


def applies(design: StudyDesign) -> bool:
    """Whether the study measures bias."""
    return "bias" in design.verticals


def draw(design: StudyDesign, results: Path, settings: Settings) -> "Figure":
    """One row of panels for each model and preference set: the topics, and the groups.

    Args:
        design: The study's policies and verticals.
        results: The study's results folder.
        settings: The plot's settings.
    """
    from trustdag.report.changes import arm_name, arms, of_arm
    from trustdag.report.draw import canvas
    from trustdag.stats.tables import read

    values_by_facet = by_facet(read(results / "statistics"), settings.metric)
    groups = arms(values_by_facet) or [("", "")]
    lines = int(values_by_facet.groupby("facet")["of"].nunique().max()) if len(values_by_facet) else 1
    figure, axes = canvas(settings, len(groups), 2, len(groups) * (lines * settings.row_height + 0.8))
    scale = _scale(values_by_facet, settings)
    recipes = list(dict.fromkeys(policy.recipe for policy in design.policies))
    for row, arm in enumerate(groups):
        own = of_arm(values_by_facet, arm)
        shown = [recipe for recipe in recipes if (own["recipe"] == recipe).any()]
        for column, facet in enumerate(("topic", "group")):
            _panel(axes[row, column], own[own["facet"] == facet], shown, scale)
            name = arm_name(arm, groups) if column == 0 else ""
            axes[row, column].set_title(f"{name}\nby {facet}" if len(groups) > 1 else f"by {facet}")
    return figure


def by_facet(tables: "Tables", metric: str) -> "pd.DataFrame":
    """The `levels` of a metric of bias by `facet` and value `of` it, with the verdict on its change since base."""
    from trustdag.report.changes import changes, levels
    from trustdag.stats.records import facet_of

    values, all_changes = levels(tables), changes(tables)
    facets = [facet_of(condition) for condition in values["condition"]]
    values = values.assign(
        facet=[facet[0] if facet else "" for facet in facets], of=[facet[1] if facet else "" for facet in facets]
    )
    values = values[(values["vertical"] == "bias") & (values["metric"] == metric) & (values["facet"] != "")]
    keys = ["model", "preferences", "recipe", "vertical", "metric", "condition"]
    return values.merge(all_changes.loc[all_changes["reference"] == "base", [*keys, "verdict"]], on=keys, how="left")


def _scale(values_by_facet: "pd.DataFrame", settings: Settings) -> "ScalarMappable":
    """The map from values to colors, the same in all panels. Its middle is the score of guessing."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    middle = float(values_by_facet["chance"].iloc[0]) if len(values_by_facet) else 0.0
    reach = max([0.25, *(values_by_facet["value"] - middle).abs().dropna()])
    return ScalarMappable(Normalize(middle - reach, middle + reach), colormaps[settings.color_map])


def _panel(axes: "Axes", rows: "pd.DataFrame", recipes: list[str], scale: "ScalarMappable") -> None:
    from trustdag.report.draw import QUIET, rows_of
    from trustdag.report.numbers import number

    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if rows["value"].isna().all():
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center", color=QUIET)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    table = rows.pivot(index="of", columns="recipe", values="value").reindex(columns=recipes).sort_index().astype(float)
    lowest, highest = scale.get_clim()
    axes.imshow(table, cmap=scale.cmap, vmin=lowest, vmax=highest, aspect="auto")
    for cell in rows_of(rows.dropna(subset=["value"])):
        across, down = recipes.index(cell["recipe"]), list(table.index).index(cell["of"])
        dark = sum(scale.to_rgba(cell["value"])[:3]) < 1.5
        text = number(cell["value"], 2) + MARKS.get(cell["verdict"], "")
        axes.text(
            across, down, text, ha="center", va="center", color="#fefefe" if dark else "#010101", fontsize="x-small"
        )
    axes.set_xticks(range(len(recipes)), recipes)
    axes.set_yticks(range(len(table)), table.index)
