"""Compares two runs of a study: the metrics that differ, and the settings, data, code or software that differ."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from trustdag.artifacts import read_digest
from trustdag.errors import UserError
from trustdag.jsonfiles import EVERY, read_object
from trustdag.layout import ModelId
from trustdag.report.draw import rows_of
from trustdag.report.html import render
from trustdag.report.numbers import number, signed
from trustdag.results.study import StudyResults
from trustdag.settings import NO_RESULT
from trustdag.stamps import read_stamp

KEYS = ["policy", "vertical", "metric", "condition"]
OF_SOFTWARE = ("packages", "python", "platform", "threads")
"""The entries of a model's provenance that can change its weights with the same settings and data."""
ABSENT = "absent"


@dataclass(frozen=True)
class Cause:
    """One difference between two studies that may have changed a metric."""

    rule: str
    """The first rule whose output it changes."""
    what: str
    """The setting with both values, or a description of another difference."""

    def __str__(self) -> str:
        """The cause in one line."""
        return f"{self.rule}: {self.what}"


@dataclass(frozen=True)
class StudyComparison:
    """The comparison of two studies."""

    moved: pd.DataFrame
    """The metrics whose values differ: the keys, `a`, `b`, `moved` (b less a) and `causes`."""
    equal: int
    """Metrics with the same value in both."""
    alone: dict[str, int]
    """By `a` and `b`: the metrics that only this study has."""


def compare(a: StudyResults, b: StudyResults) -> StudyComparison:
    """Compares each metric that both studies have.

    Args:
        a: The first study.
        b: The second study.

    Returns:
        The metrics that differ by more than the six digits of the tables, with their causes.
    """
    both = a.metrics[[*KEYS, "value"]].merge(
        b.metrics[[*KEYS, "value"]], on=KEYS, how="outer", suffixes=("_a", "_b"), indicator=True
    )
    shared = both[both["_merge"] == "both"].rename(columns={"value_a": "a", "value_b": "b"})
    equal = shared["a"].eq(shared["b"]) | (shared["a"].isna() & shared["b"].isna())
    # Assigned before the filter: a series that is assigned to an empty frame would add its rows.
    shared = shared.assign(moved=shared["b"] - shared["a"])
    moved = shared.loc[~equal, [*KEYS, "a", "b", "moved"]].reset_index(drop=True)
    known: dict[tuple[str, str], list[Cause]] = {}
    for policy, vertical in moved[["policy", "vertical"]].drop_duplicates().itertuples(index=False):
        known[policy, vertical] = list(causes(a, b, policy, vertical))
    named = [known[policy, vertical] for policy, vertical in zip(moved["policy"], moved["vertical"], strict=True)]
    alone = {"a": int((both["_merge"] == "left_only").sum()), "b": int((both["_merge"] == "right_only").sum())}
    moved["causes"] = pd.Series(named, dtype=object)
    return StudyComparison(moved, int(equal.sum()), alone)


def causes(a: StudyResults, b: StudyResults, policy: str, vertical: str) -> Iterator[Cause]:
    """Possible causes of a difference in a policy's metrics of a vertical, in the order of the workflow.

    Args:
        a: The first study.
        b: The second study.
        policy: A policy of both studies.
        vertical: A vertical of both studies.
    """
    yield from _of_models(a, b, ModelId.parse(policy))
    sections = [study.configuration.get("verticals", {}).get(vertical, {}) for study in (a, b)]
    paths = [Path(study.files.items_digest(vertical)) for study in (a, b)]
    if _text(paths[0]) != _text(paths[1]):
        settings = list(_settings("items", *(section.get("items", {}) for section in sections)))
        yield from settings or [Cause("items", "other content")]
    stamps = [read_stamp(Path(study.files.replies(policy, vertical))) for study in (a, b)]
    yield from _settings("generate", *(_stamped(stamp, "generate") for stamp in stamps))
    yield from _code("generate", *stamps)
    stamps = [read_stamp(Path(study.files.records(policy, vertical))) for study in (a, b)]
    yield from _settings("score", *(_stamped(stamp, "score") for stamp in stamps))
    yield from _code("score", *stamps)
    yield from _settings("statistics", *(study.configuration.get("statistics", {}) for study in (a, b)))


def _of_models(a: StudyResults, b: StudyResults, policy: ModelId) -> Iterator[Cause]:
    """Causes in the stages of the policy's chain, the base model first."""
    for count in range(len(policy.chain) + 1) if policy.is_trained else [0]:
        stage = policy.after(count) if count else ModelId(policy.model, () if policy.is_trained else policy.chain)
        name = stage.chain[-1] if stage.chain else "base"
        pair = [Path(study.files.model(stage, "manifest.json")) for study in (a, b)]
        if not all(path.is_file() for path in pair):
            continue
        manifests = [
            read_object(path, {"files?": {EVERY: str}, "made_by": dict}, "a model's manifest") for path in pair
        ]
        if _weights(manifests[0]) != _weights(manifests[1]):
            yield from _of_stage(name, a, b, stage, *(manifest["made_by"] for manifest in manifests))


def _of_stage(
    name: str, a: StudyResults, b: StudyResults, stage: ModelId, ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> Iterator[Cause]:
    """Causes in one stage, apart from the models that it started from.

    Args:
        name: The stage's name.
        a: The first study.
        b: The second study.
        stage: The model.
        ours: The first study's manifest of the model.
        theirs: The second study's manifest of the model.
    """
    if ours.get("data") != theirs.get("data"):
        sets = [study.configuration.get("preferences", {}).get(stage.preferences, {}) for study in (a, b)]
        yield from list(_settings(f"prepare {stage.preferences}", *sets)) or [
            Cause(f"prepare {stage.preferences}", "other content")
        ]
    own = list(_settings(name, *({"settings": made.get("settings", {})} for made in (ours, theirs))))
    for key in ("seed", "prompt_format", "source"):
        own += _settings(name, *({key: made.get(key)} for made in (ours, theirs)))
    yield from own
    if not own and ours.get("models") == theirs.get("models") and ours.get("data") == theirs.get("data"):
        software = [{key: made.get("provenance", {}).get(key) for key in OF_SOFTWARE} for made in (ours, theirs)]
        code = [made.get("provenance", {}).get("commit") for made in (ours, theirs)]
        yield from _settings(name, *software)
        yield from _settings(name, {"commit": code[0]}, {"commit": code[1]})


def _stamped(stamp: Mapping[str, str], name: str) -> dict[str, Any]:
    """The settings in a stamp; none where another program wrote the file."""
    try:
        return dict(json.loads(stamp.get(name, "{}")))
    except (ValueError, TypeError, RecursionError):
        raise UserError(f"a file's stamp is damaged: `{name}` is {stamp[name]!r:.60}") from None


def _weights(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {name: digest for name, digest in manifest.get("files", {}).items() if name.endswith(".safetensors")}


def _settings(rule: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Cause]:
    """A cause for each leaf that differs."""
    left, right = dict(_leaves(ours)), dict(_leaves(theirs))
    for name in dict.fromkeys([*left, *right]):
        values = [side.get(name, ABSENT) for side in (left, right)]
        if values[0] != values[1] and name.rpartition(".")[2] not in NO_RESULT:
            yield Cause(rule, f"{name}: {values[0]} -> {values[1]}")


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping) and tree:
        for name, value in tree.items():
            yield from _leaves(value, f"{path}.{name}" if path else str(name))
    else:
        yield path, tree


def _code(rule: str, ours: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[Cause]:
    if ours.get("code") != theirs.get("code"):
        yield Cause(rule, f"code: {ours.get('code', ABSENT)} -> {theirs.get('code', ABSENT)}")


def _text(path: Path) -> str:
    return read_digest(path) if path.is_file() else ABSENT


def as_text(comparison: StudyComparison, names: tuple[str, str]) -> str:
    """The comparison as text: for each policy the causes, then the metrics that differ.

    Args:
        comparison: The comparison.
        names: Names of the two studies.
    """
    moved, (left, right) = comparison.moved, names
    head = f"A: {left}\nB: {right}\n{len(moved)} of {len(moved) + comparison.equal} numbers moved"
    for name, count in comparison.alone.items():
        head += f"; {count} are in {name.upper()} alone" if count else ""
    parts = [head + "."]
    if any(comparison.alone.values()) and not len(moved) + comparison.equal:
        parts.append("Numbers are compared where both studies have the same names of policy, vertical and metric.")
    for policy, rows in moved.groupby("policy", sort=False):
        reasons = list(dict.fromkeys(str(cause) for causes in rows["causes"] for cause in causes))
        said = [f"  because of {reason}" for reason in reasons] or [
            "  no cause is recorded: same settings, data and code"
        ]
        shown = [
            f"  {row['vertical']} {row['metric']} ({row['condition']}): "
            f"{number(row['a'])} -> {number(row['b'])} ({signed(row['moved'])})"
            for row in rows.to_dict(orient="records")
        ]
        parts.append("\n".join([str(policy), *said, *shown]))
    return "\n\n".join(parts)


def as_html(comparison: StudyComparison, names: tuple[str, str], notices: list[str]) -> str:
    """The comparison as one HTML file that needs nothing else: the causes, then what moved, in tables that sort.

    Args:
        comparison: The comparison.
        names: What to call the two studies.
        notices: What the studies say of their data, each once.
    """
    rows = rows_of(comparison.moved)
    reasons: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        for cause in row["causes"]:
            entry = reasons.setdefault(
                (cause.rule, cause.what), {"rule": cause.rule, "what": cause.what, "policies": {}, "numbers": 0}
            )
            entry["policies"][row["policy"]] = True
            entry["numbers"] += 1
    context = {"left": names[0], "right": names[1], "moved": rows, "equal": comparison.equal, "alone": comparison.alone}
    return render("compare", context | {"causes": list(reasons.values()), "notices": notices})
