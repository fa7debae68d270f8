"""JSON files of a study and of others: any fault in them gives an error of one sentence."""

import os
from pathlib import Path

import pytest

from trustdag.errors import UserError
from trustdag.jsonfiles import EVERY, misfit, read_json, read_jsonl, read_object

CONTENTS: dict[str, bytes] = {
    "nothing": b"",
    "half": b'{"files": {"a',
    "a list": b"[]",
    "no keys": b"{}",
    "null": b"null",
    "a text": b'"text"',
    "a number": b"3",
    "bytes": bytes(range(128, 256)),
    "UTF-16": '{"files": {}}'.encode("utf-16"),
    "5,000 brackets": b"[" * 5_000,
    "100,000 objects": b'{"a":' * 100_000,
    "a number of 5,000 digits": b'{"files": ' + b"9" * 5_000 + b"}",
    "wrong types": b'{"files": 1, "prompt_format": [], "parameters": "many", "settings": null, "splits": 0}',
    "keys of wrong types": b'{"files": {"a": null}, "verticals": [], "policies": {"a": 1}, "study": {}}',
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=list(CONTENTS))
def test_an_object_of_another_shape_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"manifest\.json: damaged.*; delete it and run snakemake again$") as error:
        read_object(path, {"files": {EVERY: str}}, "a model's manifest")
    assert len(str(error.value).splitlines()) == 1


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "zeros.json").symlink_to("/dev/zero")
    (tmp_path / "folder.json").mkdir()
    for name in ("pipe", "zeros", "folder"):
        with pytest.raises(UserError, match=rf"{name}\.json: not a regular file"):
            read_json(tmp_path / f"{name}.json")
    with pytest.raises(UserError, match=r"gone\.json: no such file"):
        read_json(tmp_path / "gone.json")


def test_a_shape_says_where_a_value_differs() -> None:
    shape = {"a": {EVERY: int}, "b?": (str, type(None))}
    assert misfit({"a": {"x": 1}}, shape) is None
    assert misfit({"a": {"x": 1}, "b": None, "c": 3}, shape) is None
    assert misfit({"a": {"x": 1.5}}, shape) == "`a.x` is a number, not a whole number"
    assert misfit({"a": {"x": True}}, shape) == "`a.x` is a switch, not a whole number"
    assert misfit({"a": {}, "b": 1}, shape) == "`b` is a whole number, not a text or null"
    assert misfit({"b": "x"}, shape) == "`a` is missing"
    assert misfit(None, shape) == "it is null, not an object with keys"


def test_a_damaged_line_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for line in (b"junk", b"[]", b'{"step": "one"}', b"\xff", b"[" * 5_000):
        path.write_bytes(b'{"step": 1}\n\n' + line + b"\n")
        with pytest.raises(UserError, match=r"metrics\.jsonl:3: (damaged|not JSON): "):
            read_jsonl(path, {"step": int})
