"""The data of the page's script: every value by condition, facet and seed, and every reply with its readings."""

import math
from pathlib import Path
from typing import Any

import pandas as pd

from trustdag.artifacts import read_table
from trustdag.generation.tables import read_items, read_replies
from trustdag.layout import Results
from trustdag.report.changes import CHANCE
from trustdag.report.draw import rows_of
from trustdag.report.embed import embedded_json
from trustdag.report.examples import Reading, gold_text, sample_readings, shown_metrics
from trustdag.report.numbers import title
from trustdag.stats.design import Policy, StudyDesign
from trustdag.stats.records import ALL
from trustdag.stats.tables import Tables
from trustdag.verticals import vertical as vertical_module

DIGITS = 4
"""Significant places after the point of a number that the script shows with three."""
KEYS = ["policy", "vertical", "metric", "condition"]
LABEL_COLUMNS = ("vertical", "metric", "condition")


def label(policy: Policy, design: StudyDesign) -> str:
    """A policy's name on the page: its recipe, and its differences from other policies of the recipe."""
    models = {other.model for other in design.policies}
    sets = {other.preferences for other in design.policies if other.preferences}
    seeds = {other.seed for other in design.policies if other.seed is not None}
    parts = [policy.model] if len(models) > 1 else []
    parts += [policy.preferences] if len(sets) > 1 and policy.preferences else []
    parts += [policy.recipe]
    parts += [f"seed {policy.seed}"] if len(seeds) > 1 and policy.seed is not None else []
    return " ".join(parts)


def policy_rows(design: StudyDesign) -> list[dict[str, Any]]:
    """The policies in the study's order, with the fields that a reader can filter by."""
    return [
        {"label": label(policy, design), "model": policy.model, "preferences": policy.preferences or "",
         "recipe": policy.recipe, "seed": "" if policy.seed is None else str(policy.seed)}
        for policy in design.policies
    ]  # fmt: skip


def numbers_data(design: StudyDesign, tables: Tables) -> dict[str, Any]:
    """The values that no other part of the page shows: by condition and facet, and of single training seeds.

    Returns:
        `policies`, the names behind the indices (`vertical`, `metric`, `condition`), and `rows`: indices of vertical,
        metric, condition and policy, then items parsed, items asked, value, low, high, change, low, high, verdict.
    """
    changes = tables.differences[tables.differences["reference"] == "base"]
    changes = changes[[*KEYS, "difference", "low", "high", "verdict"]]
    table = tables.metrics.merge(changes, on=KEYS, how="left", suffixes=("", "_change"))
    if not design.seed_groups():
        table = table[table["condition"] != ALL]
    table = table[~table["metric"].str.endswith(CHANCE)]
    names = {name: list(dict.fromkeys(table[name])) for name in LABEL_COLUMNS}
    places = {name: {value: place for place, value in enumerate(values)} for name, values in names.items()}
    policies = {policy.id: place for place, policy in enumerate(design.policies)}
    rows = [
        [*(places[name][row[name]] for name in LABEL_COLUMNS), policies[row["policy"]], int(row["parsed"]),
         int(row["n"]), *(_number(row[name]) for name in
                          ("value", "low", "high", "difference", "low_change", "high_change")),
         row["verdict"] if isinstance(row["verdict"], str) else ""]
        for row in rows_of(table)
    ]  # fmt: skip
    shown = {name: [title(value) if name == "metric" else value for value in values] for name, values in names.items()}
    return {"policies": policy_rows(design), **shown, "rows": rows}


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), DIGITS)


def replies_data(results: Path, design: StudyDesign, vertical: str) -> dict[str, Any]:
    """Every reply of every policy to a vertical's items, with its readings.

    Args:
        results: The study's results folder.
        design: The study's policies and verticals.
        vertical: The vertical's name.

    Returns:
        `items` (id, condition, messages, gold, options), `texts` (each different reply once), `metrics`, the place of
        the `headline` among them, and for each policy in the design's order by item: `replies` (places in `texts`, or
        [place, why it is no reply]), `options` (log-probabilities), `scores` (metric, value or status, in turn) and
        `samples` (a metric, then each sample's value or status; empty unless an item has several samples).
    """
    files = Results(str(results))
    gold: tuple[str, ...] = vertical_module(vertical).GOLD
    items = read_items(Path(files.items(vertical)))
    metrics = shown_metrics(vertical)
    texts: dict[str, int] = {}
    order = list(items["item"])
    policies = []
    for policy in design.policies:
        replies = read_replies(Path(files.replies(policy.id, vertical)))
        records = read_table(Path(files.records(policy.id, vertical)), ("item", "metric", "value", "status"), "records")
        sampled, options = _replies_by_item(replies, texts)
        places = {metric.name: place for place, metric in enumerate(metrics)}
        scores = _scores_by_item(records, places)
        samples = {
            item: [places[metric], *map(_read, readings)]
            for item, (metric, readings) in sample_readings(records, list(places)).items()
        }
        policies.append({
            "replies": [sampled.get(item, []) for item in order],
            "options": [options.get(item, []) for item in order],
            "scores": [scores.get(item, []) for item in order],
            "samples": [samples.get(item, []) for item in order],
        })  # fmt: skip
    return {
        "items": [_item(row, gold) for row in rows_of(items)],
        "texts": list(texts),
        "metrics": [title(metric.name) for metric in metrics],
        "headline": next(place for place, metric in enumerate(metrics) if metric.headline),
        "policies": policies,
    }


def _item(row: dict[str, Any], gold: tuple[str, ...]) -> dict[str, Any]:
    options = [str(option) for option in row["options"]]
    return {
        "id": row["item"],
        "condition": row["condition"],
        "messages": [[message["role"], message["content"]] for message in row["messages"]],
        "gold": {title(name): text for name in gold if (text := gold_text(name, row[name], options))},
        "options": options,
    }


def _replies_by_item(
    replies: pd.DataFrame, texts: dict[str, int]
) -> tuple[dict[str, list[Any]], dict[str, list[float | None]]]:
    """By item: sampled replies as places in `texts`, which grows; and the options' log-probabilities."""
    sampled: dict[str, list[Any]] = {}
    options: dict[str, list[float | None]] = {}
    ordered = replies.sort_values(["item", "kind", "sample"], kind="stable")
    columns = [ordered[name] for name in ("item", "kind", "reply", "status", "logprob")]
    for item, kind, reply, status, logprob in zip(*columns, strict=True):
        if kind == "generate":
            place = texts.setdefault(str(reply or "").strip(), len(texts))
            sampled.setdefault(item, []).append(place if status == "ok" else [place, status.replace("_", " ")])
        else:
            options.setdefault(item, []).append(_number(logprob))
    return sampled, options


def _scores_by_item(records: pd.DataFrame, places: dict[str, int]) -> dict[str, list[Any]]:
    """By item: the place of a metric and its value, or why there is none, in turn."""
    scores: dict[str, list[Any]] = {}
    kept = records[records["metric"].isin(list(places))]
    for item, metric, value, status in zip(
        *(kept[name] for name in ("item", "metric", "value", "status")), strict=True
    ):
        scores.setdefault(item, []).extend([places[metric], _read({"value": value, "status": status})])
    return scores


def _read(reading: Reading) -> float | str | None:
    """A reading's value, or why there is none."""
    return _number(reading["value"]) if reading["status"] == "parsed" else str(reading["status"])


def packed_replies(results: Path, design: StudyDesign) -> dict[str, str]:
    """Each vertical's replies as JSON that may stand inside a script element."""
    return {vertical: embedded_json(replies_data(results, design, vertical)) for vertical in design.verticals}


def reply_script(vertical: str, packed: str) -> str:
    """A script file of one vertical's replies: a page on a disk may load scripts, and may not fetch data."""
    return f"trustdagReplies({embedded_json(vertical)}, {packed});\n"
