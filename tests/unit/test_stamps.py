"""Stamps of tables with their origins, and the refusal of stale tables."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from trustdag.artifacts import sha256_file, write_digest, write_json
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


PPO = StudyDesign(
    study="s",
    policies=(Policy(id="m/p/sft-reward-ppo/seed0", model="m", recipe="ppo", preferences="p", seed=0),),
    verticals=("bias",),
)
STUDY: dict[str, Any] = {
    "models": {
        "m": {"base": {"source": "scratch", "steps": 9}, "overrides": {"sft": {"epochs": 2}}, "prompt_format": "hh"}
    },
    "preferences": {"p": {"source": "hh", "path": "pairs.jsonl", "limit": 9}},
    "stages": {"sft": {"method": "sft", "epochs": 1, "log_every": 5}, "reward": {"epochs": 1}, "ppo": {"kl_coef": 0.1}},
    "verticals": {"bias": {"items": {"source": "toy", "n": 8}, "generate": {}, "score": {}}},
}
MADE: dict[str, tuple[str, dict[str, Any]]] = {
    "items": ("items/bias.card.json", {"settings": {"source": "toy", "n": 8}}),
    "data": ("data/p/card.json", {"settings": {"source": "hh", "path": "/elsewhere/pairs.jsonl", "limit": 9}}),
    "the base": ("models/m/base/manifest.json", {"made_by": {"settings": {"source": "scratch", "steps": 9}}}),
    "a parent with an override": (
        "models/m/p/sft/seed0/manifest.json",
        {"made_by": {"settings": {"epochs": 2, "log_every": 1, "added_later": 3}}},
    ),
    "the reward model": ("models/m/p/sft-reward/seed0/manifest.json", {"made_by": {"settings": {"epochs": 1}}}),
    "the policy": ("models/m/p/sft-reward-ppo/seed0/manifest.json", {"made_by": {"settings": {"kl_coef": 0.1}}}),
}


@pytest.fixture
def made(tmp_path: Path) -> Results:
    """The files of a PPO policy, made with the settings of the study."""
    files = Results(str(tmp_path))
    for name, content in MADE.values():
        write_json(tmp_path / name, content)
    write(Path(files.records("m/p/sft-reward-ppo/seed0", "bias")), {})
    return files


def test_what_was_made_with_the_studys_settings_is_accepted_wherever_it_came_from(made: Results) -> None:
    check_settings(PPO, made, STUDY)


@pytest.mark.parametrize(
    ("which", "key", "value"),
    [
        ("items", "n", 9),
        ("data", "limit", None),
        ("the base", "steps", 10),
        ("a parent with an override", "epochs", 1),
        ("the reward model", "epochs", 2),
        ("the policy", "kl_coef", 0.2),
    ],
)
def test_what_was_made_with_other_settings_is_refused_by_name(which: str, key: str, value: Any, made: Results) -> None:
    name, content = MADE[which]
    settings = content.get("settings") or content["made_by"]["settings"]
    other = settings | {key: value}
    write_json(Path(made.root) / name, {"settings": other, "made_by": {"settings": other}})
    with pytest.raises(UserError, match=rf"{name}: stale: made with {key} .* as the study says; delete"):
        check_settings(PPO, made, STUDY)
