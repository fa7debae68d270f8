"""The training pairs with the largest influence on each vertical's metric, in both directions, and their features."""

from collections.abc import Callable
from math import sqrt
from pathlib import Path
from typing import Any

import pandas as pd

from trustdag.artifacts import read_digest, read_table
from trustdag.errors import UserError
from trustdag.jsonfiles import AGAIN, misfit
from trustdag.layout import Results
from trustdag.report.settings import PageSettings
from trustdag.stamps import check, stamp_of
from trustdag.stats.design import StudyDesign
from trustdag.verticals.parsers import agreement, is_refusal

TOP_SHARE = 0.05
"""Share of the pairs at each end of the ranking whose features are compared with those of all other pairs."""
NORMAL = 1.959964
"""The 97.5th percentile of the normal distribution."""

FEATURES: dict[str, Callable[[Any], bool]] = {
    "the chosen reply is the longer one": lambda pair: len(pair.chosen) > len(pair.rejected),
    "the chosen reply agrees, the rejected one does not": lambda pair: (
        _agrees(pair.chosen) and not _agrees(pair.rejected)
    ),
    "the rejected reply agrees, the chosen one does not": lambda pair: (
        _agrees(pair.rejected) and not _agrees(pair.chosen)
    ),
    "the chosen reply declines": lambda pair: is_refusal(pair.chosen),
    "the rejected reply declines": lambda pair: is_refusal(pair.rejected),
}
"""Features of pairs from any data."""


def _agrees(text: str) -> bool:
    return agreement(text).value is True


def attributions(design: StudyDesign, results: Path, settings: PageSettings) -> list[dict[str, Any]]:
    """For each attributed policy and vertical: the metric, its extreme pairs, and their features.

    Args:
        design: The study's policies and verticals.
        results: The study's results folder.
        settings: The number of pairs, and the longest shown reply.

    Raises:
        UserError: Scores are of another model than the present one.
    """
    files = Results(str(results))
    entries = []
    for policy in design.policies:
        for vertical in design.verticals:
            path = Path(files.attribution(policy.id, vertical))
            if path.is_file():
                entries.append({"policy": policy.id, "vertical": vertical, **_entry(path, files, settings)})
    return entries


def _entry(path: Path, files: Results, settings: PageSettings) -> dict[str, Any]:
    scores = read_table(path, ("row", "score", "rank", "standard_error"), "an attribution")
    facts: Any = scores.attrs.get("attribution")
    if (wrong := misfit(facts, {"trained": str, "preferences": str, "method": str})) is not None:
        raise UserError(f"{path}: damaged, or not an attribution: {wrong}; {AGAIN}")
    digest = read_digest(Path(files.model(facts["trained"], "digest.txt")))
    check(path, stamp_of(scores), {"model": digest})
    pairs = read_table(
        Path(files.data(facts["preferences"], "train.parquet")), ("prompt", "chosen", "rejected", "source"), "pairs"
    )
    table = pd.concat([scores.reset_index(drop=True), pairs.iloc[scores["row"]].reset_index(drop=True)], axis=1)
    table = table.sort_values(["score", "row"], ascending=[False, True])
    shown = settings.attributed_pairs
    return {
        "facts": facts,
        "pairs": len(table),
        "raised": [_shown(row, settings) for row in table.head(shown).itertuples()],
        "lowered": [_shown(row, settings) for row in table.tail(shown)[::-1].itertuples()],
        "features": features(table),
        "baselines": baselines(scores),
    }


def _shown(row: Any, settings: PageSettings) -> dict[str, Any]:
    cut = settings.reply_characters
    return {
        "row": row.row,
        "score": row.score,
        "standard_error": row.standard_error,
        "prompt": row.prompt[-1]["content"][-cut:],
        "chosen": row.chosen[:cut],
        "rejected": row.rejected[:cut],
    }


def features(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Shares of pairs with each feature at both ends of the ranking, compared with all other pairs.

    Args:
        table: Pairs with their texts, the highest score first.

    Returns:
        A row for each feature and end: shares, their difference and its 95 % interval. The topic of a toy pair, which
        its source names, counts as a feature.
    """
    size = max(1, round(TOP_SHARE * len(table)))
    has = {name: [bool(holds(pair)) for pair in table.itertuples()] for name, holds in FEATURES.items()}
    topics = table["source"].str.extract(r"^toy \d+ (\w+)$")[0]
    has |= {f"the topic is {topic}": (topics == topic).tolist() for topic in sorted(set(topics.dropna()))}
    rows = []
    for name, held in has.items():
        for end, chosen, others in (("raised", held[:size], held[size:]), ("lowered", held[-size:], held[:-size])):
            low, high = newcombe(sum(chosen), len(chosen), sum(others), len(others))
            share, other = sum(chosen) / len(chosen), sum(others) / max(1, len(others))
            rows.append({"feature": name, "end": end, "share": share, "others": other, "difference": share - other,
                         "low": low, "high": high, "pairs": len(chosen)})  # fmt: skip
    return rows


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (1927); [0, 1] for a count of 0.

    Returns:
        Lower and upper limit.
    """
    if count == 0:
        return 0.0, 1.0
    share, square = successes / count, NORMAL**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = NORMAL * sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return middle - half, middle + half


def newcombe(successes: int, count: int, other_successes: int, other_count: int) -> tuple[float, float]:
    """Newcombe's 95 % interval of a difference of two shares (1998, method 10).

    Args:
        successes: Successes in the first group.
        count: Size of the first group.
        other_successes: Successes in the second group.
        other_count: Size of the second group.

    Returns:
        Lower and upper limit of the first share minus the second.
    """
    share, other = successes / max(1, count), other_successes / max(1, other_count)
    (low, high), (other_low, other_high) = wilson(successes, count), wilson(other_successes, other_count)
    return (
        share - other - sqrt((share - low) ** 2 + (other_high - other) ** 2),
        share - other + sqrt((high - share) ** 2 + (other - other_low) ** 2),
    )


def baselines(scores: pd.DataFrame) -> dict[str, float]:
    """The rank correlation of the scores with each baseline in the table."""
    return {
        name: float(scores["score"].corr(scores[name], method="spearman"))
        for name in ("random", "bm25", "embedding", "length")
        if name in scores
    }


def tables(entries: list[dict[str, Any]]) -> dict[str, pd.DataFrame]:
    """The page's tables of attributions, by the name of their CSV file: extreme pairs and features."""
    pairs, shared = [], []
    for entry in entries:
        key = {"policy": entry["policy"], "vertical": entry["vertical"], "method": entry["facts"]["method"]}
        pairs += [{**key, "end": end, **row} for end in ("raised", "lowered") for row in entry[end]]
        shared += [{**key, **row} for row in entry["features"]]
    return {"attributed_pairs": pd.DataFrame(pairs), "attributed_features": pd.DataFrame(shared)} if entries else {}
