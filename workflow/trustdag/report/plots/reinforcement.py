"""Reward and KL divergence during PPO."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from trustdag.report.plot_settings import PlotSettings
from trustdag.stats.design import StudyDesign

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from trustdag.report.runs import TrainingRun

TITLE = "Reward and KL divergence during PPO"
NEEDS = "metrics"
CAPTION = (
    "Left: mean reward of the replies, by the reward model; the band is one standard deviation between replies. Right: "
    "Kullback-Leibler divergence from the policy that PPO started from, summed over a reply's tokens."
)
MEASURES = {"reward": "reward", "kl": "KL divergence per reply"}


class Settings(PlotSettings):
    """Settings of the plot of PPO's progress."""

    height: float = Field(2.9, gt=0.5, le=40)
    """Height, in inches."""


def applies(design: StudyDesign) -> bool:
    """Whether the study trains with PPO."""
    return any("ppo" in policy.trained for policy in design.policies)


def draw(design: StudyDesign, results: Path, settings: Settings) -> "Figure":
    """One panel for the reward and one for the divergence. Several runs have shades of their recipe's color.

    Args:
        design: The study's policies and verticals.
        results: The study's results folder.
        settings: The plot's settings.
    """
    from trustdag.report.draw import canvas, hover, legend, run_colors
    from trustdag.report.runs import runs

    trained = [run for run in runs(design, results) if run.method == "ppo"]
    labels = [_label(run, trained) for run in trained]
    palette = run_colors(trained, design, settings)
    figure, axes = canvas(settings, 1, len(MEASURES), settings.height)
    for run, label in zip(trained, labels, strict=True):
        table = run.curves()
        for panel, measure in zip(axes[0], MEASURES, strict=True):
            values = table[measure].astype(float)
            (line,) = panel.plot(table["step"], values, color=palette[run.folder], label=label)
            hover(line, f"{label or MEASURES[measure]}: {values.iloc[-1]:.3f} at update {table['step'].iloc[-1]}")
            if measure == "reward" and "reward_sd" in table:
                spread = table["reward_sd"].astype(float)
                panel.fill_between(
                    table["step"], values - spread, values + spread, color=palette[run.folder], alpha=0.15, linewidth=0
                )
    for panel, name in zip(axes[0], MEASURES.values(), strict=True):
        panel.set_title(name)
        panel.set_xlabel("update")
    axes[0, 1].set_ylim(bottom=min(0.0, axes[0, 1].get_ylim()[0]))
    if len(labels) > 1:
        legend(figure, axes[0, 0], 4)
    return figure


def _label(run: "TrainingRun", among: list["TrainingRun"]) -> str:
    parts = [run.name] if len({other.chain for other in among}) > 1 else []
    parts += [run.model] if len({other.model for other in among}) > 1 else []
    parts += [run.preferences] if len({other.preferences for other in among}) > 1 else []
    parts += [f"seed {run.seed}"] if len({other.seed for other in among}) > 1 else []
    return ", ".join(parts)
