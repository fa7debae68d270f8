"""What a study's file may hold: what `check` accepts is what runs, and every bad file is one sentence."""

import gzip
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from trustdag.artifacts import write_json
from trustdag.cli import main
from trustdag.config import load
from trustdag.data import location
from trustdag.data.jsonl import lines
from trustdag.errors import UserError
from trustdag.verticals.sources.base import read_text

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


BOMBS = {
    "one line": b"x" * 1_000_000,
    "blank lines": b"\n" * 1_000_000,
    "blank lines of another system": b"\r\n" * 500_000,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_of_gzip_ends_in_bounded_time(bomb: str, tmp_path: Path) -> None:
    # Given a small file that holds 400 MB
    path = tmp_path / "pairs.jsonl.gz"
    path.write_bytes(gzip.compress(BOMBS[bomb]) * 400)
    started = time.process_time()
    # Then pairs and benchmarks are refused long before all of it is read
    with pytest.raises(UserError, match=r"pairs\.jsonl\.gz:\d+: (a line of more|more than 1,000,000 blank)"):
        list(lines(path, "pairs.jsonl.gz"))
    with pytest.raises(UserError, match=r"pairs\.jsonl\.gz: more than 300,000,000 bytes of text"):
        read_text(path)
    assert time.process_time() - started < 20


@pytest.mark.parametrize("name", ["pipe", "zeros"])
def test_no_command_waits_for_what_is_no_file(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    path, out = str(tmp_path / name), str(tmp_path / "out")
    for command in (
        ["check", path],
        ["prepare", "--settings", path, "--out", out],
        ["items", "bias", "--settings", f'{{"source": "file", "paths": ["{path}"]}}', "--out", out, "--card", out],
        ["score", "bias", "--items", path, "--replies", path, "--out", out],
    ):
        assert main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert path in line


def test_a_result_that_cannot_be_written_is_named_and_not_its_hidden_part() -> None:
    # Given a folder in which the user may not write
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        # When somebody writes a result there
        said = said_by_an_ordinary_user(lambda: write_json(Path(folder) / "card.json", {}))
        # Then the result is named
        assert said.startswith(f"{folder}/card.json: cannot be written")
        assert ".partial" not in said


def said_by_an_ordinary_user(action: Callable[[], object]) -> str:
    """The user error of what another process does, which is root no more."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            action()
        except UserError as error:
            os.write(write, str(error).encode())
        finally:
            os.kill(os.getpid(), signal.SIGKILL)  # without what pytest does at its end
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return pipe.read()
