"""What a change of a headline metric says, read beside its companions: the last word of a row of `differences`.

A stage that agrees with everything more has not become more prejudiced, and one that answers nothing has not become
better. Each vertical names such cases (`COMPANIONS`); here they are found in the tables.
"""

from typing import Any

import pandas as pd

from trustdag.stats.records import ALL
from trustdag.verticals import vertical
from trustdag.verticals.base import COMPREHENSION, Companion

LEAST_UNDERSTOOD = 0.75
"""A stage that gets fewer of the obvious cases right has not understood the task."""
NOT_UNDERSTOOD = "did not understand the task"
KEYS = ["policy", "reference", "vertical"]
SEED_KEYS = ["model", "preferences", "recipe", "reference", "vertical"]

Verdicts = dict[str, str]
"""By metric: `rose`, `fell` or another verdict of one policy, reference and vertical."""


def judgement(verdict: str, direction: str) -> str:
    """`better`, `worse` or `changed` for a change that was found; the verdict itself for any other."""
    if verdict not in ("rose", "fell"):
        return verdict
    if direction not in ("lower", "higher"):
        return "changed"
    return "better" if (verdict == "rose") == (direction == "higher") else "worse"


def companion_verdict(rules: tuple[Companion, ...], headline: str, verdicts: Verdicts) -> str:
    """The first verdict whose rule applies; empty where the headline stands by itself.

    Args:
        rules: The vertical's.
        headline: How the headline metric moved.
        verdicts: Of the other metrics. A rule that names one that was not measured does not apply.
    """
    for rule in rules:
        named = [metric for metric, _ in (*rule.moved, *rule.unless)]
        if rule.headline != headline or not all(verdicts.get(metric) for metric in named):
            continue
        if all(verdicts[metric] == change for metric, change in rule.moved) and not any(
            verdicts[metric] == change for metric, change in rule.unless
        ):
            return rule.verdict
    return ""


def understanding(metrics: pd.DataFrame) -> dict[tuple[str, str], bool]:
    """By policy and vertical, whether the obvious cases are answered rightly; only where they were asked."""
    asked = metrics[(metrics["metric"] == COMPREHENSION) & (metrics["condition"] == ALL) & metrics["value"].notna()]
    return {
        (policy, vertical): bool(value >= LEAST_UNDERSTOOD)
        for policy, vertical, value in asked[["policy", "vertical", "value"]].itertuples(index=False)
    }


def with_understood(metrics: pd.DataFrame) -> pd.DataFrame:
    """Adds the column `understood`: `yes`, or NOT_UNDERSTOOD; empty where no obvious case was asked."""
    known = understanding(metrics)
    said = {None: "", True: "yes", False: NOT_UNDERSTOOD}
    rows = zip(metrics["policy"], metrics["vertical"], strict=True)
    return metrics.assign(understood=[said[known.get(row)] for row in rows])


def judged(differences: pd.DataFrame, seeds: pd.DataFrame, metrics: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Adds the column `judgement` to both tables; filled for headline changes alone.

    Args:
        differences: Changes of policies, with their verdicts.
        seeds: Changes over training seeds, with theirs.
        metrics: The levels, for who understood the task.

    Returns:
        Both tables.
    """
    known = understanding(metrics)
    members = {
        key: list(zip(rows["policy"], rows["reference_policy"], strict=True))
        for key, rows in differences.fillna({"preferences": ""}).groupby(SEED_KEYS)
    }

    def understood(row: dict[Any, Any]) -> bool:
        key = tuple("" if pd.isna(row[name]) else row[name] for name in SEED_KEYS)
        arms = [(row["policy"], row["reference_policy"])] if row.get("policy") else members.get(key, [])
        return all(known.get((policy, row["vertical"]), True) for pair in arms for policy in pair)

    return (_with_judgement(differences, KEYS, understood), _with_judgement(seeds, SEED_KEYS, understood))


def _with_judgement(table: pd.DataFrame, keys: list[str], understood: Any) -> pd.DataFrame:
    whole = table[table["condition"] == ALL].fillna({"preferences": ""})
    verdicts: dict[Any, Verdicts] = {
        key: dict(zip(rows["metric"], rows["verdict"], strict=True)) for key, rows in whole.groupby(keys)
    }

    def of_row(row: dict[Any, Any]) -> str:
        if not row["headline"] or not row["reference"] or not row["verdict"]:
            return ""
        if not understood(row):
            return NOT_UNDERSTOOD
        rules = getattr(vertical(row["vertical"]), "COMPANIONS", ())
        key = tuple("" if pd.isna(row[name]) else row[name] for name in keys)
        return companion_verdict(rules, row["verdict"], verdicts[key]) or judgement(row["verdict"], row["direction"])

    return table.assign(judgement=[of_row(row) for row in table.to_dict("records")])
