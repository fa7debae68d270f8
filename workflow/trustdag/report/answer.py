"""The study's answer in words: for each recipe, which verticals rose, fell, or show no change."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from trustdag.report.changes import judgement
from trustdag.report.draw import rows_of
from trustdag.report.numbers import signed

REFERENCES = {"base": "the base model", "sft": "SFT"}


@dataclass(frozen=True)
class Answer:
    """One recipe against one reference: its headline changes, sorted into kinds."""

    recipe: str
    reference: str
    kinds: dict[str, list[str]] = field(default_factory=dict)
    """`worse`, `better`, `changed` and `no change found` to texts such as `bias (+0.250)`."""

    @property
    def since(self) -> str:
        """What the recipe is compared with, in words."""
        return REFERENCES[self.reference]


def answers(headlines: pd.DataFrame, reference: str) -> list[Answer]:
    """An answer for each recipe that is compared with `reference`, from the headline rows of `changes`."""
    found: dict[str, Answer] = {}
    for row in rows_of(headlines[headlines["reference"] == reference]):
        answer = found.setdefault(row["recipe"], Answer(row["recipe"], reference))
        answer.kinds.setdefault(kind_of(row), []).append(f"{row['vertical']} ({signed(row['change'])})")
    return list(found.values())


def kind_of(row: dict[str, Any]) -> str:
    """Which kind of change a row of `changes` is."""
    if row["verdict"] == "":
        return "not measured"
    return judgement(row["verdict"], row["better"]) or "no change found"


def verdict_counts(headlines: pd.DataFrame, reference: str) -> dict[str, int]:
    """Over all recipes: how many headline changes are of each kind."""
    rows = rows_of(headlines[headlines["reference"] == reference])
    kinds = [kind_of(row) for row in rows]
    return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
