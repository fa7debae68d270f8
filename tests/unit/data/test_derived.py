"""Preference sets made from another one: what is dropped, what stays, and what the card says."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import TypeAdapter

from trustdag.artifacts import sha256_file
from trustdag.data.derived import AnyDerived, Derived, derive, with_controls
from trustdag.data.prepare import prepare
from trustdag.data.toy import Settings
from trustdag.errors import UserError
from trustdag.jsonfiles import read_json
from trustdag.stamps import stamp

BY = {"stage": "dpo", "vertical": "bias"}


def settings_of(**values: Any) -> Derived:
    settings: Derived = TypeAdapter(AnyDerived).validate_python({"of": "crowd"} | values)
    return settings


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    prepare(Settings(pairs=80, corpus=20), tmp_path / "crowd")
    return tmp_path / "crowd"


def count(parent: Path) -> int:
    return len(pd.read_parquet(parent / "train.parquet"))


def attribution(parent: Path, scores: list[float], data: str | None = None) -> Path:
    """A table of scores, one for each training pair."""
    frame = pd.DataFrame({"row": range(len(scores)), "score": scores})
    stamp(frame, {"data": data or sha256_file(parent / "train.parquet")})
    frame.to_parquet(parent / "scores.parquet")
    return parent / "scores.parquet"


def test_a_subset_keeps_its_share_in_order_and_everything_but_the_training_pairs(parent: Path, tmp_path: Path) -> None:
    counts = derive(settings_of(source="subset", share=0.25, seed=3), parent, tmp_path / "half", None, None)

    whole, part = (pd.read_parquet(folder / "train.parquet") for folder in (parent, tmp_path / "half"))
    assert counts == {"pairs": len(whole), "kept": round(0.25 * len(whole))}
    assert part["source"].tolist() == [name for name in whole["source"] if name in set(part["source"])]
    for name in ("validation.parquet", "test.parquet", "corpus.parquet"):
        assert sha256_file(parent / name) == sha256_file(tmp_path / "half" / name)
    card = read_json(tmp_path / "half" / "card.json")
    assert card["splits"]["train"]["pairs"] == counts["kept"]
    assert card["derived"] == {"of": "crowd", "pairs": len(whole), "dropped": len(whole) - counts["kept"]}
    assert card["sha256"]["train.parquet"] == sha256_file(tmp_path / "half" / "train.parquet")


def test_subsets_of_two_seeds_differ_and_of_one_are_equal(parent: Path, tmp_path: Path) -> None:
    digests = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        derive(settings_of(source="subset", seed=seed), parent, tmp_path / name, None, None)
        digests.append((tmp_path / name / "digest.txt").read_text())

    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("direction", "toward", "dropped"),
    [
        ("lower", "worse", "highest"),
        ("higher", "worse", "lowest"),
        ("lower", "better", "lowest"),
        ("higher", "better", "highest"),
    ],
)
def test_pruning_drops_the_pairs_that_pushed_the_wanted_way(
    parent: Path, tmp_path: Path, direction: str, toward: str, dropped: str
) -> None:
    size = count(parent)
    scores = [math.sin(row) for row in range(size)]
    path = attribution(parent, scores)

    settings = settings_of(source="pruned", by=BY, drop=0.1, toward=toward)
    derive(settings, parent, tmp_path / "pruned", path, direction)

    kept = set(pd.read_parquet(tmp_path / "pruned" / "train.parquet")["source"])
    gone = [row for row, source in enumerate(pd.read_parquet(parent / "train.parquet")["source"]) if source not in kept]
    ordered = sorted(range(size), key=lambda row: scores[row], reverse=dropped == "highest")
    assert sorted(gone) == sorted(ordered[: round(0.1 * size)])


def test_the_random_control_drops_as_many_pairs_and_reads_no_scores(parent: Path, tmp_path: Path) -> None:
    settings = settings_of(source="pruned", by=BY, drop=0.2, choose="random")

    counts = derive(settings, parent, tmp_path / "control", None, None)

    assert counts["pairs"] - counts["kept"] == round(0.2 * counts["pairs"])


def test_scores_of_other_pairs_are_refused(parent: Path, tmp_path: Path) -> None:
    path = attribution(parent, [0.0] * count(parent), data="another digest")

    with pytest.raises(UserError, match="the scores are of other pairs than"):
        derive(settings_of(source="pruned", by=BY), parent, tmp_path / "pruned", path, "lower")


def test_a_pruned_set_without_scores_is_refused(parent: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a pruned set needs the scores"):
        derive(settings_of(source="pruned", by=BY), parent, tmp_path / "pruned", None, None)


def test_a_control_stands_beside_the_set_that_asks_for_it() -> None:
    pruned = {"source": "pruned", "of": "crowd", "by": BY, "control": "random"}

    sets = with_controls({"crowd": {"source": "toy"}, "pruned": pruned})

    assert list(sets) == ["crowd", "pruned", "pruned-random"]
    assert sets["pruned-random"] == {**pruned, "control": None, "choose": "random"}
