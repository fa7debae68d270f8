"""Draws replies for a person to label: the same items for every policy, in random order.

Items are drawn within strata (a condition, and the metrics that an item counts in), so that the weight of a labelled
item is known. The same items and samples are labelled for every policy, so that labels correct paired changes as well
as levels. Rows come in rounds of a few items with all policies, in random order. Labels of the first rounds are
therefore a smaller draw of the same kind.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trustdag.artifacts import atomic_file, read_table, sha256_file, sha256_text
from trustdag.errors import UserError
from trustdag.generation.tables import read_items, read_replies
from trustdag.jsonfiles import read_object, read_section
from trustdag.labels.questions import QUESTIONS
from trustdag.layout import Results
from trustdag.stats.design import StudyDesign
from trustdag.stats.label_files import key_of
from trustdag.stats.labels import KEY_COLUMNS, SHEET_COLUMNS
from trustdag.stats.outcomes import MEANINGS
from trustdag.stats.records import metrics_of

ITEMS_A_ROUND = 5
HEADLINE_SHARE = 2 / 3
"""Share of the labels for items of the headline metric, if other items are labelled too."""


@dataclass(frozen=True)
class Drawing:
    """Settings of a draw."""

    verticals: tuple[str, ...]
    """The verticals to label."""
    count: int
    """Replies of each policy and vertical; all replies if there are fewer."""
    seed: int
    """Random seed of the draw."""


def verticals_of(design: StudyDesign, named: list[str]) -> tuple[str, ...]:
    """The verticals whose replies a person can label: the named ones, or all of the study.

    Raises UserError for a named vertical that the study does not measure or that has no label question.
    """
    known = [name for name in design.verticals if name in MEANINGS and name in QUESTIONS]
    unknown = [name for name in named if name not in known]
    if unknown:
        raise UserError(f"--vertical: no vertical `{unknown[0]}` to label; there are {', '.join(known)}")
    return tuple(named or known)


def draw(results: Path, drawing: Drawing) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows to label and their key.

    Args:
        results: The results folder of a study that has records.
        drawing: Settings of the draw.

    Returns:
        A table with SHEET_COLUMNS and one with KEY_COLUMNS, of the same rows.

    Raises:
        UserError: A file is missing.
    """
    design = read_section(results / "design.json", StudyDesign)
    generator = np.random.default_rng([drawing.seed, drawing.count])
    drawn = pd.concat([_vertical(results, design, name, drawing, generator) for name in drawing.verticals])
    drawn = drawn.sort_values("round", kind="stable")
    return drawn[list(SHEET_COLUMNS)], drawn[list(KEY_COLUMNS)].sort_values("id")


def write(sheet: pd.DataFrame, path: Path, key: pd.DataFrame | None = None) -> None:
    """Writes a sheet and, if given, its key.

    Args:
        sheet: Rows with SHEET_COLUMNS.
        path: The sheet's file.
        key: Rows with KEY_COLUMNS.
    """
    if key is not None:
        with atomic_file(key_of(path)) as partial:
            key.to_csv(partial, index=False)
    with atomic_file(path) as partial:
        sheet.to_csv(partial, index=False)


def _vertical(
    results: Path, design: StudyDesign, vertical: str, drawing: Drawing, generator: np.random.Generator
) -> pd.DataFrame:
    files = Results(str(results))
    items = read_items(Path(files.items(vertical)))
    strata = _strata(Path(files.records(design.policies[0].id, vertical)), vertical)
    if strata.empty:
        raise UserError(f"{results}: no number of {vertical} is one that labels correct; leave it out of --vertical")
    chosen = _items(strata, drawing.count, generator)
    chosen["round"] = np.arange(len(chosen)) // ITEMS_A_ROUND
    chosen = chosen.merge(items, on="item", validate="one_to_one")
    size = _samples_shown(results, vertical)
    rows: list[dict[str, Any]] = []
    samples: dict[str, tuple[int, ...]] = {}
    for policy in design.policies:
        path = Path(files.replies(policy.id, vertical))
        replies, digest = read_replies(path), sha256_file(path)
        by_item = dict(tuple(replies[replies["kind"].eq("generate")].groupby("item")))
        asked: Any = chosen.itertuples(index=False)
        for row in asked:
            own = by_item[row.item].set_index("sample").sort_index()
            if row.item not in samples:
                picked = generator.choice(own.index, size=min(size, len(own)), replace=False)
                samples[row.item] = tuple(sorted(int(number) for number in picked))
            rows.append(_row(vertical, policy.id, row, own.loc[list(samples[row.item])], digest))
    order = generator.permutation(len(rows))
    return pd.DataFrame(rows).iloc[order].sort_values("round", kind="stable")


def _row(vertical: str, policy: str, item: Any, replies: pd.DataFrame, digest: str) -> dict[str, Any]:
    texts = [str(text or "").strip() for text in replies["reply"]]
    numbers = " ".join(map(str, replies.index))
    return {
        "id": sha256_text([vertical, policy, item.item, numbers, *texts])[:12],
        "vertical": vertical,
        "question": QUESTIONS[vertical].about(item),
        "prompt": "\n".join(f"{message['role']}: {message['content']}" for message in item.messages),
        # Without the prefix, a spreadsheet reads a reply that starts with an equals sign as a formula.
        "reply": "\n".join(f"[{place}] {text}" for place, text in enumerate(texts, start=1)),
        "answer": "" if replies["status"].eq("ok").all() else "failed",
        "policy": policy,
        "item": item.item,
        "samples": numbers,
        "stratum": item.stratum,
        "size": item.size,
        "replies": digest,
        "round": item.round,
    }


def _samples_shown(results: Path, vertical: str) -> int:
    """How many samples of an item a row shows: one, or the k of a metric that is a maximum over k samples."""
    if not QUESTIONS[vertical].of_maximum:
        return 1
    shape = {"verticals": {vertical: {"score": {"k": int}}}}
    configuration = read_object(results / "configuration.json", shape, "a study's configuration")
    return int(configuration["verticals"][vertical]["score"]["k"])


def _strata(records: Path, vertical: str) -> pd.DataFrame:
    """Items that labels apply to: `item`, `stratum`, its `size`, and whether the item counts in the `headline`."""
    table = read_table(records, ("item", "metric", "condition"), "records")
    labelled = table[table["metric"].isin(MEANINGS[vertical].keys())].sort_values("metric")
    headlines = {name for name, metric in metrics_of(vertical).items() if metric.headline}
    items = labelled.groupby("item", as_index=False).agg(
        metrics=("metric", lambda names: "+".join(dict.fromkeys(names))), condition=("condition", "first")
    )
    items["stratum"] = vertical + ": " + items["condition"] + ": " + items["metrics"]
    items["headline"] = items["item"].isin(set(labelled.loc[labelled["metric"].isin(headlines), "item"]))
    return items.assign(size=items.groupby("stratum")["item"].transform("size"))


def _items(strata: pd.DataFrame, count: int, generator: np.random.Generator) -> pd.DataFrame:
    """The drawn items in random order."""
    chosen = []
    for (headline, _), group in strata.groupby(["headline", "stratum"], sort=True):
        alike = strata["headline"] == headline
        part = 1.0 if alike.all() else (HEADLINE_SHARE if headline else 1 - HEADLINE_SHARE)
        wanted = round(count * part * len(group) / int(alike.sum()))
        chosen.append(group.iloc[generator.permutation(len(group))[: max(1, wanted)]])
    whole = pd.concat(chosen)
    return whole.iloc[generator.permutation(len(whole))].reset_index(drop=True)
