"""Stamps of tables with their origins, and the refusal of stale tables."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from trustdag.artifacts import sha256_file, write_digest
from trustdag.errors import UserError
from trustdag.layout import Results
from trustdag.stamps import check, read_stamp, stamp, stamp_of
from trustdag.stats.design import Policy, StudyDesign
from trustdag.stats.stale import check_records, check_replies, check_settings

DESIGN = StudyDesign(study="s", policies=(Policy(id="m/base", model="m", recipe="base"),), verticals=("bias",))
SETTINGS = {"generate": '{"samples": 1}', "score": '{"threshold": 0.5}', "prompt_format": "hh"}
CONFIGURATION: dict[str, Any] = {
    "models": {"m": {"prompt_format": "hh"}},
    "verticals": {"bias": {"generate": {"samples": 1, "batch_tokens": 9}, "score": {"threshold": 0.5}}},
}


def write(path: Path, made_from: dict[str, str]) -> None:
    frame = pd.DataFrame({"item": ["1"]})
    stamp(frame, made_from)
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path)


@pytest.fixture
def files(tmp_path: Path) -> Results:
    """A study of one model and one vertical whose files belong together."""
    files = Results(str(tmp_path))
    write_digest(Path(files.model("m/base", "digest.txt")), "weights")
    write_digest(Path(files.items_digest("bias")), "questions")
    made_from = {"model": "weights", "items": "questions", **SETTINGS}
    replies = Path(files.replies("m/base", "bias"))
    write(replies, made_from)
    write(Path(files.records("m/base", "bias")), made_from | {"replies": sha256_file(replies)})
    return files


def test_a_stamp_is_read_with_and_without_the_rows(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", {"items": "a"})
    assert read_stamp(tmp_path / "x.parquet") == stamp_of(pd.read_parquet(tmp_path / "x.parquet")) == {"items": "a"}


def test_a_table_of_another_origin_has_no_stamp_and_is_taken(tmp_path: Path) -> None:
    pd.DataFrame({"item": ["1"]}).to_parquet(tmp_path / "x.parquet")
    check(tmp_path / "x.parquet", read_stamp(tmp_path / "x.parquet"), {"items": "a"})


def test_a_missing_or_damaged_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_text("no table")
    for name in ("gone.parquet", "bad.parquet"):
        with pytest.raises(UserError, match=f"{name}: not a Parquet file, or not there"):
            read_stamp(tmp_path / name)


def test_what_belongs_together_is_accepted(files: Results) -> None:
    check_records(DESIGN, files)
    check_replies(DESIGN, files)
    check_settings(DESIGN, files, CONFIGURATION)


def test_a_model_that_was_trained_again_makes_its_replies_and_records_stale(files: Results) -> None:
    write_digest(Path(files.model("m/base", "digest.txt")), "other weights")
    with pytest.raises(UserError, match=r"records/m/base/bias\.parquet: stale: made with other `model`"):
        check_records(DESIGN, files)
    with pytest.raises(UserError, match=r"replies/m/base/bias\.parquet: stale: made with other `model`"):
        check_replies(DESIGN, files)


def test_other_items_make_records_stale(files: Results) -> None:
    write_digest(Path(files.items_digest("bias")), "other questions")
    with pytest.raises(UserError, match=r"records/m/base/bias\.parquet: stale: made with other `items`"):
        check_records(DESIGN, files)


def test_records_of_other_replies_are_refused(files: Results) -> None:
    write(Path(files.replies("m/base", "bias")), {"model": "weights", "items": "questions", "code": "new"})
    with pytest.raises(UserError, match=r"records/m/base/bias\.parquet: stale: made with other `replies`"):
        check_replies(DESIGN, files)


def test_records_of_another_threshold_are_refused(files: Results) -> None:
    section = CONFIGURATION["verticals"]["bias"] | {"score": {"threshold": 0.6}}
    with pytest.raises(UserError, match=r"records/m/base/bias\.parquet: stale: made with other `score`"):
        check_settings(DESIGN, files, CONFIGURATION | {"verticals": {"bias": section}})
