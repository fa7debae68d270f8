"""Items with every stage's reply to them side by side: drawn at random, the same draw every time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trustdag.report.draw import rows_of
from trustdag.report.numbers import number, title
from trustdag.report.settings import PageSettings
from trustdag.stats.design import Policy, records_file
from trustdag.stats.records import metrics_of

CUT = " […]"


@dataclass(frozen=True)
class Reply:
    """One policy's reply, and what became of it in the headline metric."""

    recipe: str
    text: str
    note: str
    """Such as `parsed: 1.000`, `unparsed` or, for options, `most likely of 4`."""


@dataclass(frozen=True)
class Example:
    """One item and the replies to it."""

    item: str
    condition: str
    messages: list[dict[str, str]]
    replies: list[Reply]


def examples(results: Path, policies: list[Policy], vertical: str, settings: PageSettings) -> list[Example]:
    """Random items of each condition of a vertical, with the reply of each policy."""
    items = pd.read_parquet(results / "items" / f"{vertical}.parquet", columns=["item", "condition", "messages"])
    chosen = _draw(items, settings.examples)
    replies = {policy.id: _replies(results, policy, vertical, set(chosen["item"])) for policy in policies}
    headline = next(metric.name for metric in metrics_of(vertical).values() if metric.headline)
    outcomes = {policy.id: _outcomes(results, policy, vertical, headline) for policy in policies}
    return [
        Example(
            row["item"],
            row["condition"],
            [{"role": message["role"], "content": message["content"]} for message in row["messages"]],
            [
                _reply(policy, replies[policy.id], outcomes[policy.id], row["item"], settings.reply_characters)
                for policy in policies
            ],
        )
        for row in rows_of(chosen)
    ]


def _draw(items: pd.DataFrame, count: int) -> pd.DataFrame:
    drawn = []
    for _, group in items.sort_values("item").groupby("condition", sort=True):
        picks = np.random.default_rng(0).permutation(len(group))[:count]
        drawn.append(group.iloc[np.sort(picks)])
    return pd.concat(drawn, ignore_index=True) if drawn else items.head(0)


def _replies(results: Path, policy: Policy, vertical: str, items: set[str]) -> pd.DataFrame:
    path = results / "replies" / policy.id / f"{vertical}.parquet"
    replies = pd.read_parquet(path, columns=["item", "kind", "sample", "reply", "logprob", "status"])
    return replies[replies["item"].isin(items)]


def _outcomes(results: Path, policy: Policy, vertical: str, metric: str) -> dict[str, str]:
    records = pd.read_parquet(records_file(results / "records", policy, vertical))
    records = records[records["metric"] == metric]
    return {
        row["item"]: f"{title(metric)}: {number(row['value'])}" if row["status"] == "parsed" else row["status"]
        for row in rows_of(records)
    }


def _reply(policy: Policy, replies: pd.DataFrame, outcomes: dict[str, str], item: str, longest: int) -> Reply:
    """The first sampled reply; where none was sampled, the likeliest option."""
    own = replies[replies["item"] == item]
    sampled = own[own["kind"] == "generate"].sort_values("sample")
    options = own[(own["kind"] == "likelihood") & own["logprob"].notna()]
    notes = [outcomes[item]] if item in outcomes else []
    if len(sampled):
        found: dict[str, Any] = rows_of(sampled.head(1))[0]
    elif len(options):
        found = rows_of(options.sort_values("logprob", ascending=False).head(1))[0]
        notes.insert(0, f"likeliest of {len(options)} options")
    else:
        return Reply(policy.recipe, "", "no reply")
    if found["status"] != "ok":
        notes.insert(0, str(found["status"]).replace("_", " "))
    text = str(found["reply"] or "").strip()
    return Reply(policy.recipe, text[:longest] + CUT if len(text) > longest else text, " · ".join(notes))
