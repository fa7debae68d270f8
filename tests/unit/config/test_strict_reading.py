"""What a study's file may hold: what `check` accepts is what runs, and every bad file is one sentence."""

import os
from pathlib import Path

import pytest

from trustdag.config import load
from trustdag.data import location
from trustdag.data.jsonl import lines
from trustdag.errors import UserError

ROOT = Path(__file__).parents[3]
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
FILES = {
    "a key twice": (b"name: a\nname: b\n", "`name` stands twice"),
    "a key of a section twice": (b"stages: {sft: {batch_size: 1, batch_size: 2}}\n", "`batch_size` stands twice"),
    "latin-1": ("name: m\u00fcller\n".encode("latin-1"), "not YAML"),
    "UTF-16": ("name: a\n".encode("utf-16"), "not YAML"),
    "a NUL": (b"name: a\0b\n", "not YAML"),
    "5,000 brackets": (b"a: " + b"[" * 5000, "not YAML"),
    "a number of 5,000 digits": (b"seeds: [" + b"9" * 5000 + b"]\n", "not YAML"),
    "an alias of itself": (b"a: &a {b: *a}\n", "without end"),
    "an alias bomb": (BOMB.encode(), "without end"),
}


@pytest.mark.parametrize(("content", "complaint"), FILES.values(), ids=list(FILES))
def test_a_bad_file_is_refused_in_a_sentence(content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"study\.yaml: .*{complaint}"):
        load.read(path)


def test_a_pipe_is_no_study(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "study.yaml")
    with pytest.raises(UserError, match="not a file"):
        load.read(tmp_path / "study.yaml")


VALUES = {
    "a negative seed": ("seeds", [-1]),
    "a seed of 70 bits": ("seeds", [2**70]),
    "an endless learning rate": ("stages.sft.learning_rate", float("inf")),
    "decay rates above 1": ("stages.sft.betas", [2, 3]),
    "an absurd batch": ("stages.sft.batch_size", 10**30),
    "minutes and seconds for a number": ("stages.sft.epochs", "3:20"),
}


@pytest.mark.parametrize(("key", "value"), VALUES.values(), ids=list(VALUES))
def test_a_value_that_cannot_run_is_refused_with_its_key(key: str, value: object) -> None:
    config = load.read(ROOT / "config" / "smoke.yaml")
    section, *path = key.split(".")
    if path:
        config["stages"] = {**config["stages"], path[0]: {**config["stages"][path[0]], path[1]: value}}
    else:
        config[section] = value
    with pytest.raises(UserError, match=key.replace(".", r"\.")):
        load.validate(config, "study.yaml")


def test_minutes_and_seconds_stay_a_text(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("pairs: 3:20\n")
    assert load.read(path) == {"pairs": "3:20"}


@pytest.mark.parametrize("name", ["pipe.jsonl", "zeros.jsonl"])
def test_data_that_is_no_regular_file_is_refused(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "zeros.jsonl").symlink_to("/dev/zero")
    with pytest.raises(UserError, match="not a regular file"):
        location.local(str(tmp_path / name), (".jsonl",))


def test_the_home_of_nobody_is_named() -> None:
    with pytest.raises(UserError, match="no such user"):
        location.local("~nobody-of-that-name/a.jsonl", (".jsonl",))


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x" * 10_000_001 + b"\n")
    with pytest.raises(UserError, match=r"a\.jsonl:1: a line of more than"):
        list(lines(path, "a.jsonl"))
