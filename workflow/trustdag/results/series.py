"""A study as runs of an experiment tracker: for each policy its training curves, headline metrics and changes."""

from dataclasses import dataclass

import pandas as pd

from trustdag.layout import ModelId
from trustdag.report.draw import rows_of
from trustdag.results.columns import MEANINGS
from trustdag.results.study import StudyResults
from trustdag.stats.design import Policy
from trustdag.stats.records import ALL

ENDS = ("low", "high")


@dataclass(frozen=True)
class Point:
    """One line of a training's metrics."""

    stage: str
    """Name of the stage; `base` for a base model that the study trained."""
    step: int
    """Optimizer steps, or PPO updates, that are done. Each stage begins at 0."""
    values: dict[str, float]
    """By name, such as `sft/train/loss`."""


@dataclass(frozen=True)
class PolicyRun:
    """One evaluated policy as a run."""

    name: str
    """The policy's id."""
    settings: dict[str, str]
    """What the policy is."""
    points: tuple[Point, ...]
    """The trainings of its chain, first to last."""
    numbers: dict[str, float]
    """`headline/VERTICAL/METRIC` and `change/VERTICAL/METRIC`, since the base model; with `/low` and `/high`."""

    @property
    def stages(self) -> list[str]:
        """The stages with curves, in order."""
        return list(dict.fromkeys(point.stage for point in self.points))


def runs_of(study: StudyResults) -> list[PolicyRun]:
    """A run for each policy of the study."""
    return [
        PolicyRun(policy.id, settings_of(study, policy), points_of(study, policy), numbers_of(study, policy))
        for policy in study.design.policies
    ]


def headlines(study: StudyResults, policy: Policy) -> pd.DataFrame:
    """The policy's headline metrics over all items that have a number."""
    rows = _of_policy(study.metrics, policy)
    return rows[rows["value"].notna()]


def headline_changes(study: StudyResults, policy: Policy) -> pd.DataFrame:
    """The policy's own changes of headline metrics since its base model, of its training seed alone."""
    rows = _of_policy(study.differences, policy)
    return rows[rows["difference"].notna() & (rows["reference"] == "base")]


def settings_of(study: StudyResults, policy: Policy) -> dict[str, str]:
    """What a policy is: its study, model, preference set, recipe, stages and seed."""
    known = {
        "study": study.design.study,
        "notice": study.design.notice,
        "model": policy.model,
        "preferences": policy.preferences,
        "recipe": policy.recipe,
        "stages": " -> ".join(ModelId.parse(policy.id).chain),
        "seed": policy.seed,
    }
    return {name: str(value) for name, value in known.items() if value not in (None, "")}


def points_of(study: StudyResults, policy: Policy) -> tuple[Point, ...]:
    """The curves of each training in a policy's chain, from the base model on."""
    own = ModelId.parse(policy.id)
    before = [own.after(count) for count in range(1, len(own.chain) + 1)]
    points = []
    for model_id in dict.fromkeys([ModelId(own.model, ()), *before]):
        stage = model_id.chain_name.rsplit("-", 1)[-1]
        rows = study.curves[study.curves["policy"] == str(model_id)]
        names = [str(name) for name in rows if name not in MEANINGS["curves"]]
        for row in rows_of(rows):
            values = {f"{stage}/{row['split']}/{name}": float(row[name]) for name in names if pd.notna(row[name])}
            points.append(Point(stage, int(row["step"]), values))
    return tuple(points)


def numbers_of(study: StudyResults, policy: Policy) -> dict[str, float]:
    """A policy's headline metrics and their changes since the base model, with intervals."""
    numbers: dict[str, float] = {}
    for kind, value, rows in (
        ("headline", "value", headlines(study, policy)),
        ("change", "difference", headline_changes(study, policy)),
    ):
        for row in rows_of(rows):
            name = f"{kind}/{row['vertical']}/{row['metric']}"
            numbers[name] = float(row[value])
            numbers |= {f"{name}/{end}": float(row[end]) for end in ENDS if pd.notna(row[end])}
    return numbers


def _of_policy(rows: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """The headline rows of a policy over all items."""
    return rows[(rows["policy"] == policy.id) & rows["headline"].astype(bool) & (rows["condition"] == ALL)]
