"""What benchmarks of retrainings keep: several processes, the same numbers, and runs that go on."""

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.attribution_study import results_of, task_of
from trustdag.errors import UserError

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

import kept  # type: ignore[import-not-found]
import lds  # type: ignore[import-not-found]
import retraining  # type: ignore[import-not-found]


def folder(path: Path, workers: int, pairs: int = 4) -> Any:
    """A benchmark's folder, opened by a command line."""
    return kept.Kept.open(argparse.Namespace(out=path, workers=workers, pairs=pairs), ("pairs",))


def process() -> dict[str, Any]:
    """A computation that says which process it ran in."""
    return {"process": os.getpid()}


def test_what_is_lacking_is_computed_in_other_processes_and_what_is_there_is_not(tmp_path: Path) -> None:
    # given
    names = [f"retrainings/{number}" for number in range(4)]
    folder(tmp_path, workers=1).complete({names[0]: process})
    # when
    folder(tmp_path, workers=2).complete(dict.fromkeys(names, process))
    # then
    first, *others = (row["process"] for row in folder(tmp_path, workers=0).rows(names))
    assert first == os.getpid()
    assert len(others) == 3
    assert first not in others


def test_without_workers_nothing_is_computed(tmp_path: Path) -> None:
    opened = folder(tmp_path, workers=0)

    opened.complete({"retrainings/0": process})

    assert opened.rows(["retrainings/0"]) == []


def test_a_folder_of_another_command_line_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, workers=1, pairs=4)

    with pytest.raises(UserError, match=r"settings.json: pairs was 4, not 5; take another --out"):
        folder(tmp_path, workers=1, pairs=5)


def test_what_was_done_before_a_process_failed_is_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> dict[str, Any]:
        raise ArithmeticError("no number")

    opened = folder(tmp_path, workers=2)

    with pytest.raises(UserError, match="a process failed; its error is above"):
        opened.complete({"good": process, "bad": fail})

    assert "no number" in capfd.readouterr().err
    assert len(opened.rows(["good", "bad"])) == 1


def test_retrainings_and_scores_are_the_same_in_any_number_of_processes(tmp_path: Path) -> None:
    # given
    world = retraining.world_of(task_of(), results_of(tmp_path), 8)
    runs = {f"in-place-{number}": partial(lds.retrained, world, "in place", number) for number in range(3)}
    runs |= {name: partial(kept.scored, world, method) for name, method in kept.named(0, ["dot"]).items()}
    # when
    for workers in (1, 2):
        folder(tmp_path / str(workers), workers).complete(runs)
    # then
    for name in runs:
        texts = [(tmp_path / str(workers) / f"{name}.json").read_text() for workers in (1, 2)]
        assert texts[0] == texts[1]
    scores = folder(tmp_path / "2", 0).scores(0, ["dot"])
    assert scores["dot"]["bias"].tolist() == json.loads((tmp_path / "1/scores/0-dot.json").read_text())["dot"]["bias"]


def test_the_table_takes_the_halves_that_there_are(tmp_path: Path) -> None:
    # given a second order of two of four halves
    def row(half: int) -> dict[str, Any]:
        return {"half": half, "kept": [half, half + 1], "measured": {"bias": float(half)}}

    rows = {"anew": [row(half) for half in range(4)], retraining.AGAIN: [row(half) for half in (0, 1, 3)]}
    scores = {"dot": {"bias": np.arange(5.0)}}
    # when
    table = lds.table(rows, scores).set_index("method")
    # then
    assert table["retrainings"].to_dict() == {"dot": 4, "same halves, another order": 3}
    assert table["spearman"].tolist() == pytest.approx([1, 1])


def test_the_ceiling_is_the_share_that_changes_its_sign_with_the_half(tmp_path: Path) -> None:
    # given a number on halves of ten pairs and on their other halves
    slopes = np.random.default_rng(0).normal(size=10)
    halves = [np.random.default_rng(number).permutation(10) for number in range(300)]

    def rows(number: Any, side: slice) -> list[dict[str, Any]]:
        return [
            {"half": half, "kept": order[side].tolist(), "measured": {"bias": float(number(slopes[order[side]]))}}
            for half, order in enumerate(halves)
        ]

    def top(number: Any) -> float:
        trained = {"in place": rows(number, slice(5)), lds.OTHER: rows(number, slice(5, 10))}
        return float(lds.table(trained, {}).set_index("method").loc[lds.CEILING, "spearman"])

    middle = slopes.sum() / 2
    # then sums can reach one that rises with a sum, and not at all one that is the same for the other half
    assert top(np.sum) == pytest.approx(1, abs=1e-3)
    assert top(lambda kept: np.tanh(kept.sum() - middle)) == pytest.approx(1, abs=1e-3)
    assert top(lambda kept: abs(kept.sum() - middle)) == pytest.approx(0, abs=0.01)
    # and one in between in part
    assert 0.2 < top(lambda kept: kept.sum() - middle + 2 * abs(kept.sum() - middle)) < 0.9


@pytest.mark.parametrize(
    ("kind", "share", "size"), [("in place", 0.5, 4), (lds.OTHER, 0.5, 4), ("in place 75", 0.75, 6)]
)
def test_a_retraining_keeps_its_share_and_the_other_half_the_rest(
    tmp_path: Path, kind: str, share: float, size: int
) -> None:
    world = retraining.world_of(task_of(), results_of(tmp_path), 8)

    row = lds.retrained(world, kind, 3, share)

    first = set(np.random.default_rng(3).permutation(8)[: round(share * 8)].tolist())
    assert set(row["kept"]) == (set(range(8)) - first if kind == lds.OTHER else first)
    assert len(row["kept"]) == size
