"""The study's answer in words: for each recipe, which verticals rose, fell, or show no change."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from trustdag.report.changes import judgement
from trustdag.report.draw import rows_of
from trustdag.report.numbers import number, title
from trustdag.stats.families import NOT_TESTED
from trustdag.stats.seeds import LEAST_SEEDS

REFERENCES = {"base": "the base model", "sft": "SFT"}
MANY_LOST = 0.2
"""Share of the pairs that are lost, above which the words say so."""
KINDS = ("worse", "better", "changed", "no change found", "not tested", "not measured")


@dataclass(frozen=True)
class Answer:
    """One recipe against one reference: its headline changes, sorted into kinds."""

    recipe: str
    reference: str
    kinds: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """KINDS to rows of `changes`."""

    @property
    def since(self) -> str:
        """What the recipe is compared with, in words."""
        return REFERENCES[self.reference]

    @property
    def sentence(self) -> str:
        """Such as `Since the base model, dpo became worse in 3 of 5 verticals and better in 1.`"""
        measured = [kind for kind in KINDS[:4] if kind in self.kinds]
        total = sum(len(self.kinds[kind]) for kind in measured)
        parts = [f"{kind} in {len(self.kinds[kind])}" for kind in measured if kind in KINDS[:3]]
        if not total and NOT_TESTED in self.kinds:
            seeds = f"a test takes one training seed, or at least {LEAST_SEEDS}"
            return f"Since {self.since}, no change of {self.recipe} is tested: {seeds}."
        if not total:
            return f"Since {self.since}, nothing about {self.recipe} could be measured."
        if not parts:
            return f"Since {self.since}, no change of {self.recipe} was found in any of {total} verticals."
        parts[0] += f" of {total} verticals"
        *first, last = parts
        listed = f"{', '.join(first)} and {last}" if first else last
        return f"Since {self.since}, {self.recipe} became {listed}."

    def lines(self, kind: str) -> list[str]:
        """The verticals of a kind, such as `Bias: agreement rose by 0.250`."""
        return [line_of(row) for row in self.kinds.get(kind, [])]


def answers(headlines: pd.DataFrame, reference: str) -> list[Answer]:
    """An answer for each recipe that is compared with `reference`, from the headline rows of `changes`."""
    found: dict[str, Answer] = {}
    for row in rows_of(headlines[headlines["reference"] == reference]):
        answer = found.setdefault(row["recipe"], Answer(row["recipe"], reference))
        answer.kinds.setdefault(kind_of(row), []).append(row)
    return list(found.values())


def kind_of(row: dict[str, Any]) -> str:
    """Which of KINDS a row of `changes` is."""
    if row["verdict"] == "":
        return "not measured"
    if row["verdict"] == NOT_TESTED:
        return NOT_TESTED
    return judgement(row["verdict"], row["direction"]) or "no change found"


def line_of(row: dict[str, Any]) -> str:
    """A change in words, with a warning where many pairs were lost."""
    asked = row["n_pairs"] + row["lost"]
    few = f" (over {row['n_pairs']:,} of {asked:,} items)" if row["lost"] > MANY_LOST * asked else ""
    if row["verdict"] not in ("rose", "fell"):
        return title(row["vertical"]) + few
    metric = title(row["metric"])
    metric = metric if metric[:2].isupper() else metric[:1].lower() + metric[1:]
    return f"{title(row['vertical'])}: {metric} {row['verdict']} by {number(abs(row['change']))}{few}"
