"""Files of preference data: folders, gzip, damaged files, and missing files."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from trustdag.data import hh, jsonl, location, prepare
from trustdag.data.source import Drop, NotAPair, Pair
from trustdag.errors import UserError

LINE = json.dumps({"chosen": "\n\nHuman: Hi.\n\nAssistant: Yes.", "rejected": "\n\nHuman: Hi.\n\nAssistant: No."})
SUFFIXES = (".jsonl", ".jsonl.gz")

BAD_LINES = {
    "cut off in the middle": (LINE[:40], "not JSON"),
    "two records on one line": (LINE + LINE, "not JSON: Extra data"),
    "single quotes": ("{'chosen': 'a'}", "not JSON"),
    "a page of HTML": ("<html><body>404</body></html>", "not JSON"),
    "a pointer of git LFS": ("version https://git-lfs.github.com/spec/v1", "not JSON"),
    "a list": (f"[{LINE}]", "a JSON list"),
    "a text": ('"chosen"', "a JSON str"),
    "null": ("null", "a JSON NoneType"),
    "a number": ("3", "a JSON int"),
    "nested without end": ("[" * 100_000, "not JSON"),
    "a number of 5,000 digits": ('{"chosen": ' + "9" * 5000 + "}", "not JSON"),
    "no keys": ("{}", "no key `chosen`"),
    "other keys": ('{"prompt": "a", "response": "b"}', "no key `chosen` .*prompt.*response"),
    "no rejected": ('{"chosen": "a"}', "no key `rejected`"),
    "null reply": ('{"chosen": null, "rejected": "a"}', "`chosen` is NoneType"),
    "messages": ('{"chosen": [{"role": "user", "content": "a"}], "rejected": []}', "`chosen` is list"),
    "half a surrogate pair": (LINE.replace("Yes", r"\ud83d"), "surrogate"),
}


def drops(path: Path) -> list[Drop]:
    return [record for record in hh.read(hh.Settings(path=str(path))) if isinstance(record, Drop)]


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_line_is_counted_with_its_number_and_the_others_are_read(tmp_path: Path, case: str) -> None:
    line, why = BAD_LINES[case]
    path = tmp_path / "pairs.jsonl"
    path.write_text(f"{LINE}\n\n{line}\n{LINE}\n")
    records = list(hh.read(hh.Settings(path=str(path))))
    assert [isinstance(record, Drop) for record in records] == [False, True, False]
    (drop,) = drops(path)
    assert (drop.source, drop.reason) == ("pairs.jsonl:3", "malformed")
    assert re.search(why, drop.why)


def test_bytes_that_are_not_utf8_are_a_malformed_line(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(LINE.replace("Yes", "caf\xe9").encode("latin-1") + b"\n")
    assert drops(path)[0].why.startswith("not UTF-8: byte 0xe9")


@pytest.mark.parametrize("content", [f"\ufeff{LINE}\n", f"{LINE}\r\n", LINE, f"\n\n{LINE}\n\n", f"  {LINE}  \n"])
def test_a_whole_line_is_read_whatever_is_around_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(content.encode())
    (pair,) = hh.read(hh.Settings(path=str(path)))
    assert not isinstance(pair, Drop)
    assert (pair["chosen"], pair["rejected"]) == ("Yes.", "No.")


def test_line_separators_of_unicode_do_not_end_a_line(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(LINE.replace("Yes.", "Yes\u2028and\x85no.") + "\n", newline="\n")
    (pair,) = hh.read(hh.Settings(path=str(path)))
    assert not isinstance(pair, Drop)
    assert pair["chosen"] == "Yes\u2028and\x85no."


def test_a_file_that_ends_within_a_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(f"{LINE}\n{LINE[:50]}")
    with pytest.raises(UserError, match=r"pairs\.jsonl:2: the file ends within this line"):
        list(hh.read(hh.Settings(path=str(path))))


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.99])
def test_a_cut_off_gzip_file_is_refused(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "pairs.jsonl.gz"
    whole = gzip.compress("".join(f'{LINE[:-1]}, "id": {at}}}\n' for at in range(3000)).encode())
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(UserError, match=r"pairs\.jsonl\.gz: the gzip file is damaged or cut off after line \d+"):
        list(hh.read(hh.Settings(path=str(path))))


@pytest.mark.parametrize("at", [12, -6])
def test_a_gzip_file_with_a_changed_byte_is_refused(tmp_path: Path, at: int) -> None:
    path = tmp_path / "pairs.jsonl.gz"
    content = bytearray(gzip.compress(f"{LINE}\n".encode() * 50))
    content[at] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged or cut off"):
        list(hh.read(hh.Settings(path=str(path))))


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.jsonl.gz"])
@pytest.mark.parametrize("zipped", [True, False])
def test_gzip_is_known_by_its_content_and_not_by_its_name(tmp_path: Path, name: str, zipped: bool) -> None:
    content = f"{LINE}\n".encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if zipped else content)
    assert len(list(hh.read(hh.Settings(path=str(tmp_path / name))))) == 1


def test_a_record_is_an_object_with_keys() -> None:
    assert jsonl.record(b'{"a": 1}') == {"a": 1}
    with pytest.raises(NotAPair, match="not an object"):
        jsonl.record(b"[]")


def test_a_folder_stands_for_its_files_by_names_that_do_not_depend_on_where_it_lies(tmp_path: Path) -> None:
    for home in ("here", "there"):
        for name in ("b/train.jsonl", "a/train.jsonl.gz", "a/README.md"):
            (tmp_path / home / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / home / name).write_text(f"{LINE}\n")
    here, there = (location.local(str(tmp_path / home), SUFFIXES) for home in ("here", "there"))
    assert list(here) == list(there) == ["a/train.jsonl.gz", "b/train.jsonl"]


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = tuple(str(tmp_path / folder / "train.jsonl") for folder in "ab")
    for path in paths:
        Path(path).parent.mkdir()
        Path(path).touch()
    assert list(location.local(paths, SUFFIXES)) == list(paths)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gone.jsonl", r"gone\.jsonl: no such file or folder; correct `path`"),
        ("gone/", "gone: no such file or folder"),
        ("pairs.csv", r"pairs\.csv: not a \.jsonl or \.jsonl\.gz file"),
        ("empty", r"empty: the folder holds no \.jsonl or \.jsonl\.gz file"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "pairs.csv").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        location.local(str(tmp_path / path), SUFFIXES)


def test_an_empty_list_of_files_is_refused() -> None:
    with pytest.raises(UserError, match="the list is empty"):
        location.local((), SUFFIXES)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"revision": "main"}, "revision"),
        ({"name": "hh-rlhf"}, "name"),
        ({"data_dir": 3}, "data_dir"),
        ({"path": 3}, "path"),
        ({"pth": "x.jsonl"}, "pth"),
        ({"validation": 0.6, "test": 0.5}, "leaves nothing to train on"),
        ({"max_malformed": 2}, "max_malformed"),
        ({"limit": 0}, "limit"),
    ],
)
def test_settings_that_cannot_hold_are_refused(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        hh.Settings(**values)


def test_settings_survive_json() -> None:
    settings = hh.Settings(path=("a.jsonl", "b.jsonl"), limit=3, license="MIT")
    assert hh.Settings.from_json(settings.as_json()) == settings


def test_without_a_hub_the_error_says_how_to_give_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"data set Anthropic/hh-rlhf, .*train\.jsonl\.gz .*path: FILE_OR_FOLDER"):
        list(hh.read(hh.Settings(data_dir=("harmless-base",))))


def test_a_file_in_the_hubs_cache_needs_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants as constants

    settings = hh.Settings(data_dir="harmless-base")
    snapshot = tmp_path / "datasets--Anthropic--hh-rlhf" / "snapshots" / settings.revision / "harmless-base"
    snapshot.mkdir(parents=True)
    for file in hh.FILES:
        (snapshot / file).write_bytes(gzip.compress(f"{LINE}\n".encode()))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    sources = [pair["source"] for pair in hh.read(settings) if not isinstance(pair, Drop)]
    assert sources == ["harmless-base/train.jsonl.gz:1", "harmless-base/test.jsonl.gz:1"]


def test_hidden_files_beside_the_data_are_not_read(tmp_path: Path) -> None:
    (tmp_path / ".ipynb_checkpoints").mkdir()
    for name in ("train.jsonl", "._train.jsonl", ".ipynb_checkpoints/train-checkpoint.jsonl"):
        (tmp_path / name).write_text("{}\n")
    assert list(location.local(str(tmp_path), (".jsonl",))) == ["train.jsonl"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 5\n", "a pointer of git-lfs, not the data"),
        ('{"a": 1}\n'.encode("utf-16"), "UTF-16, not UTF-8; write it again as UTF-8"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_what_it_is(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        list(jsonl.lines(path, "a"))


def test_a_reply_without_a_visible_character_is_empty() -> None:
    pair = Pair(prompt=[{"role": "user", "content": "Hi."}], chosen="\u200b", rejected="Yo.", source="a:1")
    drop = prepare.unfit(pair, hh.Settings(path="a"))
    assert drop is not None
    assert (drop.reason, drop.why) == ("empty", "the chosen reply is empty")
