"""The answer as one card for each vertical: each policy's level, its changes, and companion metrics."""

from dataclasses import dataclass
from typing import Any

from trustdag.report.answer import REFERENCES
from trustdag.stats.records import ALL
from trustdag.verticals import vertical as vertical_module
from trustdag.verticals.base import Metric

Row = dict[str, Any]


@dataclass(frozen=True)
class Beside:
    """A companion of the headline: a metric that must be read with it."""

    metric: str
    level: Row
    change: Row | None
    """Since the base model."""


@dataclass(frozen=True)
class CardRow:
    """One recipe of one model and preference set."""

    recipe: str
    arm: str
    """Model and preference set, if there are several."""
    level: Row
    changes: dict[str, Row]
    """By reference: `base`, `sft`, `control`."""
    companions: tuple[Beside, ...]
    counts: Row | None
    """Number of records of the headline metric with each status."""


@dataclass(frozen=True)
class VerticalCard:
    """One vertical's headline metric."""

    vertical: str
    metric: Metric
    chance: float | None
    rows: tuple[CardRow, ...]
    companions: tuple[str, ...]
    """The measured companion metrics of the headline."""

    @property
    def references(self) -> tuple[str, ...]:
        """The references of the rows."""
        return tuple(name for name in REFERENCES if any(name in row.changes for row in self.rows))


def cards(arms: list[Row], verticals: tuple[str, ...], metrics: dict[str, dict[str, Metric]]) -> list[VerticalCard]:
    """A card for each vertical whose headline was measured.

    Args:
        arms: The models with their preference sets, from the page's context.
        verticals: The study's verticals.
        metrics: By vertical and name.
    """
    made = [_card(arms, vertical, metrics[vertical]) for vertical in verticals]
    return [card for card in made if card.rows]


def companions_of(vertical: str) -> tuple[str, ...]:
    """The metrics in the first of a vertical's rules of companions, with which its headline is always shown."""
    rules = getattr(vertical_module(vertical), "COMPANIONS", ())
    return tuple(dict.fromkeys(metric for rule in rules[:1] for metric, _ in (*rule.moved, *rule.unless)))


def _card(arms: list[Row], vertical: str, metrics: dict[str, Metric]) -> VerticalCard:
    headline = next(metric for metric in metrics.values() if metric.headline)
    measured = {key[1] for arm in arms for key in arm["values"] if key[0] == vertical and key[2] == ALL}
    companions = tuple(name for name in companions_of(vertical) if name in measured and name != headline.name)
    key = (vertical, headline.name, ALL)
    rows: dict[tuple[str, str, str], CardRow] = {}
    for arm in arms:
        for recipe in arm["recipes"]:
            if level := arm["values"].get((*key, recipe)):
                # A base model belongs to each of its preference sets and is shown once.
                rows.setdefault((level["model"], level["preferences"], recipe), _row(arm, key, recipe, companions))
    chances = [chance for arm in arms if (chance := arm["chance"].get(key[:2])) is not None]
    return VerticalCard(vertical, headline, chances[0] if chances else None, tuple(rows.values()), companions)


def _row(arm: Row, key: tuple[str, str, str], recipe: str, companions: tuple[str, ...]) -> CardRow:
    """One recipe of an arm.

    Args:
        arm: The model and preference set.
        key: Vertical, headline metric and condition.
        recipe: The recipe.
        companions: The companion metrics of the headline.
    """
    since = {name: arm["changes"].get((*key, recipe, name)) for name in REFERENCES}
    changes = {name: row for name, row in since.items() if row is not None}
    level, counts = arm["values"][(*key, recipe)], arm["counts"].get((*key, recipe))
    return CardRow(recipe, arm["name"], level, changes, tuple(_beside(arm, key[0], recipe, companions)), counts)


def _beside(arm: Row, vertical: str, recipe: str, companions: tuple[str, ...]) -> list[Beside]:
    keys = [(vertical, metric, ALL, recipe) for metric in companions]
    return [
        Beside(key[1], arm["values"][key], arm["changes"].get((*key, "base"))) for key in keys if key in arm["values"]
    ]
