"""Training curves: the loss of each stage on training and validation data, and the share of rightly ranked pairs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from trustdag.report.plot_settings import PlotSettings
from trustdag.stats.design import StudyDesign

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from trustdag.report.runs import TrainingRun

TITLE = "Training curves"
NEEDS = "metrics"
CAPTION = (
    "Loss of each stage by optimizer step (thin: training batches; with dots: validation data). For stages trained on "
    "pairs, the lower panels show the share of pairs in which the chosen reply is ranked above the rejected one."
)
MEASURES = {"loss": "loss", "accuracy": "pairs ranked rightly"}


class Settings(PlotSettings):
    """Settings of the plot of training curves."""

    panel_height: float = Field(2.2, gt=0.5, le=40)
    """Height of one row of panels, in inches."""


def applies(design: StudyDesign) -> bool:
    """Whether the study trains a model."""
    return any(set(policy.trained) - {"ppo"} for policy in design.policies)


def draw(design: StudyDesign, results: Path, settings: Settings) -> "Figure":
    """One column for each stage, one row for each measure. Several runs have shades of their recipe's color.

    Args:
        design: The study's policies and verticals.
        results: The study's results folder.
        settings: The plot's settings.
    """
    from trustdag.report.draw import canvas, legend, run_colors
    from trustdag.report.runs import runs

    stages: dict[str, list[TrainingRun]] = {}
    for run in runs(design, results):
        if run.method != "ppo":
            stages.setdefault(run.name, []).append(run)
    curves = {run.folder: run.curves() for group in stages.values() for run in group}
    measures = [name for name in MEASURES if any(name in table for table in curves.values())]
    labels = {run.folder: _label(run, group) for group in stages.values() for run in group}
    palette = {
        folder: color for group in stages.values() for folder, color in run_colors(group, design, settings).items()
    }
    figure, axes = canvas(settings, len(measures), len(stages), len(measures) * settings.panel_height + 0.4)
    for column, (stage, group) in enumerate(stages.items()):
        for row, measure in enumerate(measures):
            panel = axes[row, column]
            measured = [run for run in group if measure in curves[run.folder]]
            for run in measured:
                _curve(panel, curves[run.folder], measure, palette[run.folder], labels[run.folder])
            panel.set_visible(bool(measured))
            panel.set_xlabel("step")
            panel.set_title(stage if row == 0 else "")
            if measured and not any(other.get_ylabel() for other in axes[row]):
                panel.set_ylabel(MEASURES[measure])
    if len(set(labels.values())) > 1:
        legend(figure, max(axes.flat, key=lambda panel: len(set(panel.get_legend_handles_labels()[1]))), 4)
    return figure


def _label(run: "TrainingRun", group: list["TrainingRun"]) -> str:
    """The label of a run: its differences from the other runs of its stage."""
    parts = [run.model] if len({other.model for other in group}) > 1 else []
    parts += [run.preferences] if len({other.preferences for other in group}) > 1 else []
    parts += [f"seed {run.seed}"] if len({other.seed for other in group}) > 1 else []
    return ", ".join(parts)


def _curve(axes: "Axes", table: "pd.DataFrame", measure: str, color: tuple[float, float, float], label: str) -> None:
    from trustdag.report.draw import hover

    looks: dict[str, dict[str, Any]] = {
        "train": {"linewidth": 1, "alpha": 0.65},
        "validation": {"marker": "o", "markersize": 4},
    }
    for split, look in looks.items():
        rows = table[(table["split"] == split) & table[measure].notna()]
        if len(rows):
            name = label if split == "train" or not (table["split"] == "train").any() else None
            (line,) = axes.plot(rows["step"], rows[measure].astype(float), color=color, label=name, **look)
            hover(line, f"{label or measure}, {split}: {rows[measure].iloc[-1]:.3f} at step {rows['step'].iloc[-1]}")
