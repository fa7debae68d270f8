"""Example items with the replies of every stage: some on which stages differ most, the others drawn at random."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trustdag.artifacts import read_table
from trustdag.layout import Results
from trustdag.report.changes import CHANCE
from trustdag.report.draw import rows_of
from trustdag.report.numbers import number, title
from trustdag.report.settings import PageSettings
from trustdag.stats.design import Policy
from trustdag.stats.records import metrics_of
from trustdag.verticals import vertical as vertical_module
from trustdag.verticals.base import Metric

CUT = " […]"
REPLY_COLUMNS = ("item", "kind", "sample", "reply", "logprob", "status")
DIFFERS, RANDOM = "stages differ most", "drawn at random"


@dataclass(frozen=True)
class ShownReply:
    """A policy's reply to an item, and its scores."""

    recipe: str
    samples: tuple[str, ...]
    """All samples of the scores; without samples, the most likely option."""
    readings: tuple[str, ...]
    """What each sample was read as, such as `Toxicity: 0.912`; empty texts for an item with one sample."""
    note: str
    """Each metric's reading of the item, such as `EMT: 1.000 · Refusal: unparsed`."""

    def read(self, outcomes: list[str], singles: list[str]) -> "ShownReply":
        """With the readings of the whole item, and of each of its samples if there are several."""
        readings = tuple(singles) if len(singles) == len(self.samples) else self.readings
        return replace(self, readings=readings, note=" · ".join([*filter(None, [self.note]), *outcomes]))


@dataclass(frozen=True)
class Example:
    """An item with its gold answer and the replies to it."""

    item: str
    condition: str
    chosen: str
    """The reason why the item is shown: DIFFERS or RANDOM."""
    messages: list[dict[str, str]]
    gold: dict[str, str]
    """The item's gold columns as text."""
    replies: list[ShownReply]


def examples(results: Path, policies: list[Policy], vertical: str, settings: PageSettings) -> list[Example]:
    """Example items of each condition of a vertical, with the replies of each policy.

    Args:
        results: The study's results folder.
        policies: The policies whose replies are shown.
        vertical: The vertical's name.
        settings: The number of items of each condition, and the longest shown reply.
    """
    gold: tuple[str, ...] = vertical_module(vertical).GOLD
    columns = ["item", "condition", "messages", "options", *gold]
    items = read_table(results / "items" / f"{vertical}.parquet", columns, "items")
    records = {policy.id: _records(results, policy, vertical) for policy in policies}
    chosen = _choose(items, _spread(list(records.values()), vertical), settings.examples)
    replies = {policy.id: _replies(results, policy, vertical, set(chosen["item"])) for policy in policies}
    outcomes = {policy.id: _outcomes(records[policy.id], set(chosen["item"]), vertical) for policy in policies}
    singles = {policy.id: _singles(records[policy.id], vertical) for policy in policies}
    return [
        Example(
            row["item"],
            row["condition"],
            row["chosen"],
            [{"role": message["role"], "content": message["content"]} for message in row["messages"]],
            {title(name): gold_text(name, row[name], list(row["options"])) for name in gold},
            [
                _shown(policy, replies[policy.id], row["item"], settings.reply_characters).read(
                    outcomes[policy.id].get(row["item"], []), singles[policy.id].get(row["item"], [])
                )
                for policy in policies
            ],
        )
        for row in rows_of(chosen)
    ]


def gold_text(name: str, value: Any, options: list[str]) -> str:
    """A gold column's value as text: the option of an index, or the options that a list of bools marks.

    Args:
        name: The column.
        value: Its value for an item.
        options: The item's options.
    """
    if isinstance(value, list | tuple | np.ndarray):
        entries = [str(entry) for entry in value]
        marks = len(entries) == len(options) and all(isinstance(entry, bool | np.bool_) for entry in value)
        shown = [option for option, mark in zip(options, value, strict=True) if mark] if marks else entries
        return "; ".join(shown) or "none"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer) and (name == "best" or name.endswith("_option")):
        return options[int(value)] if 0 <= value < len(options) else "none"
    return str(value)


Reading = dict[str, Any]
"""`value` and `status` of a reply, as records hold them."""


def shown_metrics(vertical: str) -> list[Metric]:
    """The metrics that say something of a single item: those that are a mean over items, and the headline."""
    return [
        metric
        for metric in metrics_of(vertical).values()
        if (metric.statistic == "mean" or metric.headline) and not metric.name.endswith(CHANCE)
    ]


def sample_readings(records: pd.DataFrame, metrics: Sequence[str]) -> dict[str, tuple[str, list[Reading]]]:
    """By item with several samples: the first of the metrics that reads them one by one, and each sample's reading."""
    if "samples" not in records:
        return {}
    order = {name: place for place, name in enumerate(metrics)}
    read = records[records["samples"].notna() & records["metric"].isin(list(order))]
    read = read.sort_values("metric", key=lambda names: names.map(order), kind="stable").drop_duplicates("item")
    columns = (read["item"], read["metric"], read["samples"])
    return {item: (metric, list(readings)) for item, metric, readings in zip(*columns, strict=True)}


def _spread(records: list[pd.DataFrame], vertical: str) -> pd.Series:
    """By item: the largest minus the smallest headline value over the policies. Items without a value are missing."""
    headline = next(metric.name for metric in metrics_of(vertical).values() if metric.headline)
    values = pd.concat(frame.loc[frame["metric"] == headline, ["item", "value"]] for frame in records)
    grouped = values.dropna().groupby("item")["value"]
    return grouped.max() - grouped.min()


def _choose(items: pd.DataFrame, spread: pd.Series, count: int) -> pd.DataFrame:
    """`count` items of each condition: the first half are those on which stages differ most, the others are random."""
    drawn = []
    for _, group in items.sort_values("item").groupby("condition", sort=True):
        shuffled = group.iloc[np.random.default_rng(0).permutation(len(group))]
        differing = shuffled["item"].map(spread).fillna(0.0).sort_values(ascending=False, kind="stable")
        first = differing[differing > 0].head((count + 1) // 2).index
        rest = shuffled.index.difference(first, sort=False)[: max(0, count - len(first))]
        drawn += [group.loc[first].assign(chosen=DIFFERS), group.loc[rest].assign(chosen=RANDOM)]
    return pd.concat(drawn, ignore_index=True) if drawn else items.head(0)


def _replies(results: Path, policy: Policy, vertical: str, items: set[str]) -> pd.DataFrame:
    replies = read_table(Path(Results(str(results)).replies(policy.id, vertical)), REPLY_COLUMNS, "replies")
    return replies[replies["item"].isin(items)]


def _records(results: Path, policy: Policy, vertical: str) -> pd.DataFrame:
    columns = ("item", "metric", "value", "status")
    return read_table(Path(Results(str(results)).records(policy.id, vertical)), columns, "records")


def _outcomes(records: pd.DataFrame, items: set[str], vertical: str) -> dict[str, list[str]]:
    """By item: the reading of each metric that is a mean over items, which is its value or its status."""
    others = {name for name, metric in metrics_of(vertical).items() if metric.statistic != "mean"}
    shown = records["item"].isin(items) & ~records["metric"].isin(others) & ~records["metric"].str.endswith(CHANCE)
    outcomes: dict[str, list[str]] = {}
    for row in rows_of(records[shown]):
        outcomes.setdefault(row["item"], []).append(f"{title(row['metric'])}: {_told(row)}")
    return outcomes


def _singles(records: pd.DataFrame, vertical: str) -> dict[str, list[str]]:
    """By item with several samples: what each was read as, such as `Toxicity: 0.912`."""
    by_item = sample_readings(records, [metric.name for metric in shown_metrics(vertical)])
    return {
        item: [f"{title(metric)}: {_told(reading)}" for reading in readings]
        for item, (metric, readings) in by_item.items()
    }


def _told(reading: Reading) -> str:
    return number(reading["value"]) if reading["status"] == "parsed" else str(reading["status"])


def _shown(policy: Policy, replies: pd.DataFrame, item: str, longest: int) -> ShownReply:
    """All sampled replies; without samples, the most likely option.

    Args:
        policy: Whose replies.
        replies: To the shown items.
        item: The item.
        longest: Characters of a reply.
    """
    own = replies[replies["item"] == item]
    sampled = own[own["kind"] == "generate"].sort_values("sample")
    options = own[(own["kind"] == "likelihood") & own["logprob"].notna()]
    notes: list[str] = []
    shown = sampled
    if sampled.empty:
        shown = options.sort_values("logprob", ascending=False).head(1)
        notes = [f"likeliest of {len(options)} options" if len(options) else "no reply"]
    bad = sorted({str(status).replace("_", " ") for status in shown["status"] if status != "ok"})
    texts = tuple(_cut(str(reply or "").strip(), longest) for reply in shown["reply"])
    return ShownReply(policy.recipe, texts, ("",) * len(texts), " · ".join([*bad, *notes]))


def _cut(text: str, longest: int) -> str:
    return text[:longest] + CUT if len(text) > longest else text
