"""What a study's file may hold: what `check` accepts is what runs, and every bad file is one sentence."""

import gzip
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.bad_input_cases import Place
from trustdag import jsonfiles
from trustdag.artifacts import write_json
from trustdag.cli import main
from trustdag.config import load
from trustdag.data import location, trl
from trustdag.data.jsonl import lines
from trustdag.data.prepare import prepare
from trustdag.errors import UserError
from trustdag.verticals.sources.base import read_text

ROOT = Path(__file__).parents[3]
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a0: &a0 {k: 1}\n" + "".join(
    f"a{level + 1}: &a{level + 1} {{<<: [{', '.join([f'*a{level}'] * 9)}]}}\n" for level in range(12)
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
    "a bomb of merge keys": (MERGES.encode(), "without end"),
    "more than a megabyte": (b"# remark\n" * 200_000, "larger than 1,000,000 characters"),
    "a key twice in JSON": (b'{"name": "a", "name": "b"}', "`name` stands twice"),
    "a key that YAML reads as False": (b"recipes: {no: [sft]}\n", "`no` is read as another kind of value"),
    "a key that is a number": (b"recipes: {1: [sft]}\n", "`1` is read as another kind of value"),
    "a key that is a list": (b"? [a, b]\n: 1\n", "a key is a text"),
    "minutes and seconds": (b"pairs: 3:20\n", "`3:20` is a number in base 60"),
    "minutes, seconds and a part": (b"level: 0:0.9\n", "`0:0.9` is a number in base 60"),
    "a leading zero": (b"seeds: [010]\n", "`010` is a number in base 8"),
    "a date": (b"name: 2001-01-01\n", "a value of the type timestamp"),
    "a set, which has no order": (b"seeds: !!set {a, b}\n", "a value of the type set"),
    "bytes": (b"name: !!binary c21va2U=\n", "a value of the type binary"),
    "a call of Python": (b"name: !!python/object/apply:os.getcwd []\n", "a value of the type python"),
}


@pytest.mark.parametrize(("content", "complaint"), FILES.values(), ids=list(FILES))
def test_a_bad_file_is_refused_in_a_sentence(content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"study\.yaml: .*{complaint}"):
        load.read(path)


READ = {
    "a merge key beside a key that it would set": (
        "a: &a {<<: {k: 1, m: 2}, k: 3}\n",
        {"a": {"k": 3, "m": 2}},
    ),
    "such a section, merged by a section above it": (
        "deep: {deeper: &a {<<: {k: 1, m: 2}, k: 3}}\ntop: {<<: *a}\n",
        {"deep": {"deeper": {"k": 3, "m": 2}}, "top": {"k": 3, "m": 2}},
    ),
    "numbers in base 10 and 16": (
        "a: [10, -3, 0, 0.5, 1_000, 0x10, 1.0e-3]\n",
        {"a": [10, -3, 0, 0.5, 1000, 16, 1e-3]},
    ),
    "texts in quotes": ("'no': ['3:20', '010', '2001-01-01']\n", {"no": ["3:20", "010", "2001-01-01"]}),
    "a mark of the byte order": ("\ufeffa: 1\n", {"a": 1}),
    "JSON with tabs and escaped pairs": ('{\n\t"a": "\\ud83d\\ude00"\n}', {"a": "\U0001f600"}),
}


@pytest.mark.parametrize(("content", "value"), READ.values(), ids=list(READ))
def test_what_has_one_meaning_is_read(content: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(content, encoding="utf-8")
    assert load.read(path) == value


def test_many_keys_are_read_in_bounded_time(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("".join(f"k{number}: 1\n" for number in range(50_000)))
    started = time.process_time()
    assert len(load.read(path)) == 50_000
    assert time.process_time() - started < 60


@pytest.mark.parametrize("content", [MERGES, BOMB, "pairs: 3:20\n", "{seed: 010}"])
@pytest.mark.parametrize("command", ["prepare --out out --settings FILE", "site"])
def test_every_yaml_file_of_a_user_is_read_as_strictly(
    command: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(content)
    monkeypatch.setenv("TRUSTDAG_SITE", str(path))
    assert main(command.replace("FILE", str(path)).split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"trustdag: {path}: ")
    assert "without end" in line or "in base" in line


def test_a_pipe_is_no_study(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "study.yaml")
    with pytest.raises(UserError, match="not a regular file"):
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


SWITCHES = [
    ("stages.sft.batch_size", True),
    ("stages.sft.betas", [True, 0.9]),
    ("stages.dpo.beta", True),
    ("seeds", [False]),
    ("threads.rules", {"dpo": True}),
    ("statistics.resamples", True),
]


@pytest.mark.parametrize(("key", "value"), SWITCHES)
def test_true_is_no_number(key: str, value: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Place(tmp_path, tmp_path).study(key, value)
    assert main(["check", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"study.yaml: {key}: a number is expected, not true or false (got {value})" in line


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


USELESS = {
    "lines that are no records": b"x\n",
    "records without a reply": b'{"prompt": "a", "chosen": "", "rejected": "b"}\n',
    "records whose replies are the same": b'{"prompt": "a", "chosen": "b", "rejected": "b"}\n',
    "one record again and again": b'{"prompt": "a", "chosen": "b", "rejected": "c"}\n',
}


@pytest.mark.parametrize("line", USELESS.values(), ids=list(USELESS))
@pytest.mark.parametrize("max_malformed", [0.01, 1])
def test_an_archive_without_end_and_without_pairs_is_left_after_a_part(
    max_malformed: float, line: bytes, tmp_path: Path
) -> None:
    # Given a small archive of 400 million such lines
    path = tmp_path / "pairs.jsonl.gz"
    path.write_bytes(gzip.compress(line * 1_000_000) * 400)
    # Then it is refused after the first ones, with the file, the line and how many there were
    with pytest.raises(UserError, match=r"pairs\.jsonl\.gz:100000: fewer than 1 of 100 of the first 100,000 records"):
        prepare(trl.Settings(path=str(path), max_malformed=max_malformed), tmp_path / "out")


def test_a_table_without_end_and_without_pairs_is_left_after_a_part(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    column = pa.DictionaryArray.from_arrays(np.zeros(3_000_000, dtype=np.int8), ["b"]).cast(pa.string())
    pq.write_table(pa.table({"prompt": column, "chosen": column, "rejected": column}), path)
    with pytest.raises(UserError, match=r"pairs\.parquet:100000: fewer than 1 of 100"):
        prepare(trl.Settings(path=str(path)), tmp_path / "out")


def test_an_archive_that_repeats_itself_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": "' + b"x" * 990_000 + b'"}\n') * 400)
    with pytest.raises(UserError, match=r"pairs\.jsonl\.gz:\d+: the archive holds more than 200 times its own size"):
        list(lines(path, "pairs.jsonl.gz"))


def test_a_json_file_larger_than_any_is_not_read(tmp_path: Path) -> None:
    for read in (jsonfiles.read_json, jsonfiles.read_jsonl):
        path = tmp_path / "config.json"
        with path.open("wb") as handle:
            handle.truncate(10**12)
        with pytest.raises(UserError, match=r"config\.json: damaged: more than 300,000,000 bytes"):
            read(path)


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


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data_root", ["a"], "data_root: must be the path of a folder (got ['a'])"),
        ("report.plots.levels.colors", ["None"], "report.plots.levels.colors: no color that matplotlib knows"),
        (
            "verticals.toxicity.score.scorers",
            [{"name": "profanity", "calibration": "gone.json"}],
            "verticals.toxicity.score: gone.json: no such file",
        ),
    ],
)
def test_what_would_fail_or_vanish_later_is_said_by_check(
    key: str, value: object, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(Place(tmp_path, tmp_path).study(key, value))]) == 2
    assert message in capsys.readouterr().err


def test_one_fault_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(Place(tmp_path, tmp_path).study("verticals.bias.protocol", "loud"))]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(set(said))
