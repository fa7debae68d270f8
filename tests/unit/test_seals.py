"""Damaged files are detected, and a model agrees with its manifest."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from trustdag.artifacts import manifest, sha256_file, write_json
from trustdag.errors import UserError
from trustdag.jsonfiles import read_json
from trustdag.seals import (
    REMEMBERED,
    SEAL,
    content_of_sources,
    damage,
    model_digest,
    refuse_edited_sources,
    seal,
    whole,
)

DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "emptied": (lambda path: path.write_bytes(b""), "has 0 of 8 bytes"),
    "halved": (lambda path: path.write_bytes(b"1234"), "has 4 of 8 bytes"),
    "flipped": (lambda path: path.write_bytes(b"12345679"), "is not as it was written"),
    "removed": (lambda path: path.unlink(), "is missing"),
}


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A sealed folder with a file in it and one below it."""
    folder = tmp_path / "sealed"
    (folder / "below").mkdir(parents=True)
    (folder / "weights").write_bytes(b"12345678")
    (folder / "below" / "state").write_bytes(b"12345678")
    seal(folder)
    return folder


def test_a_folder_that_nobody_touched_is_whole(sealed: Path) -> None:
    assert damage(sealed) is None
    assert whole(sealed, "never said")


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("name", ["weights", "below/state"])
def test_every_damage_of_every_file_is_noticed_and_named(name: str, kind: str, sealed: Path) -> None:
    spoil, expected = DAMAGES[kind]
    spoil(sealed / name)
    assert damage(sealed) == f"{name} {expected}"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"weights": 1}', "\x00\x00"])
def test_a_folder_whose_seal_is_damaged_counts_as_damaged(content: str, sealed: Path) -> None:
    (sealed / SEAL).write_text(content)
    assert damage(sealed) == f"{SEAL} is missing or not readable"


def test_a_damaged_folder_is_set_aside_in_one_sentence(sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sealed / "weights").unlink()
    assert not whole(sealed, "it is made again")
    assert not sealed.exists()
    assert (sealed.parent / "damaged-sealed" / "below" / "state").is_file()
    assert capsys.readouterr().err == (
        f"{sealed} is damaged (weights is missing): set aside as damaged-sealed; it is made again\n"
    )


# --- Models ---


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder with its manifest."""
    folder = tmp_path / "sft" / "model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"12345678")
    (folder / "README.md").write_text("a card")
    write_json(folder.parent / "manifest.json", manifest(folder, kind="policy"))
    return folder


def test_a_model_that_is_as_its_manifest_says_has_its_digest(model: Path) -> None:
    for _ in range(2):  # computed, then remembered
        assert model_digest(model) == read_json(model.parent / "manifest.json")["sha256"]
    (model / "README.md").write_text("another card")
    assert model_digest(model) == read_json(model.parent / "manifest.json")["sha256"]


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("remembered", [True, False])
def test_a_model_that_is_not_as_its_manifest_says_is_refused(kind: str, remembered: bool, model: Path) -> None:
    if remembered:
        model_digest(model)
    DAMAGES[kind][0](model / "model.safetensors")
    with pytest.raises(UserError, match=r"model\.safetensors: .*; the model is damaged .*: delete .*sft and run"):
        model_digest(model)


def test_a_file_that_the_manifest_does_not_name_is_refused(model: Path) -> None:
    (model / "adapter.safetensors").touch()
    with pytest.raises(UserError, match=r"not named by manifest\.json"):
        model_digest(model)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": 1}'])
def test_a_damaged_manifest_is_named(content: str, model: Path) -> None:
    (model.parent / "manifest.json").write_text(content)
    with pytest.raises(UserError, match=r"manifest\.json: damaged"):
        model_digest(model)


def test_digests_are_read_again_only_where_a_file_has_changed(model: Path) -> None:
    # Given digests that are remembered, one of which is wrong for the file that it names
    model_digest(model)
    memory = read_json(model.parent / REMEMBERED)
    # When the file was touched, copied or is the same, the model is still the one of its manifest
    (model / "model.safetensors").touch()
    assert model_digest(model)
    assert read_json(model.parent / REMEMBERED) != memory
    # And a memory that is damaged refuses no model
    memory = read_json(model.parent / REMEMBERED)
    memory["model.safetensors"]["sha256"] = "0" * 64
    write_json(model.parent / REMEMBERED, memory)
    assert model_digest(model) == read_json(model.parent / "manifest.json")["sha256"]
    for content in ("", "[]", '{"model.safetensors": 3}'):
        (model.parent / REMEMBERED).write_text(content)
        assert model_digest(model)


def test_a_model_of_elsewhere_is_not_checked_against_files_beside_it(model: Path) -> None:
    other = model.parent / "pythia"
    shutil.copytree(model, other)
    (other / "model.safetensors").write_bytes(b"other")
    assert model_digest(other) != read_json(model.parent / "manifest.json")["sha256"]


def test_the_copy_that_two_studies_leave_in_their_cache_is_removed(model: Path, tmp_path: Path) -> None:
    # Given a model in Snakemake's cache, into which a second study's was moved at the same time
    entry = tmp_path / "cache" / f"{'0f' * 32}_model"
    entry.parent.mkdir()
    shutil.copytree(model, entry)
    shutil.copytree(model, entry / entry.name)
    shutil.rmtree(model)
    model.symlink_to(entry)
    # Then the model is right, and the copy goes
    assert model_digest(model) == read_json(model.parent / "manifest.json")["sha256"]
    assert not (entry / entry.name).exists()
    # And where the two differ, the sentence names what to delete of the cache too
    (entry / "model.safetensors").write_bytes(b"another!")
    with pytest.raises(UserError, match=rf"delete .*sft and .*/{'0f' * 32}\*"):
        model_digest(model)


# --- Source files ---


def test_another_content_of_a_source_is_noticed_whatever_its_time(tmp_path: Path) -> None:
    path, memory = tmp_path / "pairs.jsonl", tmp_path / "memory" / "digests.json"
    path.write_text("one")
    before = content_of_sources([str(path)], memory)
    # When the file is replaced by another one of the same size and time
    other = tmp_path / "other"
    other.write_text("two")
    shutil.copystat(path, other)
    other.replace(path)
    # Then its digest is another one
    assert json.loads(before).keys() == {"pairs.jsonl"}
    assert content_of_sources([str(path)], memory) != before


def test_equal_content_in_another_folder_is_the_same(tmp_path: Path) -> None:
    digests = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        for file in ("a.csv", "b.csv"):
            (tmp_path / name / file).write_text(file)
        paths = [str(tmp_path / name / file) for file in ("a.csv", "b.csv")]
        digests.append(content_of_sources(paths, tmp_path / "memory" / "digests.json"))
    assert digests[0] == digests[1]


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = [tmp_path / name / "train.jsonl" for name in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_text(str(path))
    contents = [content_of_sources(map(str, order), tmp_path / "m" / "d.json") for order in (paths, paths[::-1])]
    assert contents[0] != contents[1]


def test_a_source_is_read_once_unless_it_has_just_been_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, memory = tmp_path / "pairs.jsonl", tmp_path / "digests.json"
    path.write_text("one")
    content_of_sources([str(path)], memory)
    assert not memory.exists()  # it may be written again without a new time
    later = time.time_ns() + 60_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later)
    content_of_sources([str(path)], memory)
    write_json(memory, {str(path): read_json(memory)[str(path)] | {"sha256": "0" * 64}})
    told = content_of_sources([str(path)], memory)
    memory.write_text('{"half')
    assert content_of_sources([str(path)], memory) != told
    assert read_json(memory)[str(path)]["sha256"] == sha256_file(path)


def test_an_edit_in_place_is_seen_though_size_and_time_of_modification_are_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, memory = tmp_path / "pairs.jsonl", tmp_path / "digests.json"
    path.write_text("one")
    later = time.time_ns() + 60_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later)
    before = content_of_sources([str(path)], memory)
    facts = path.stat()
    with path.open("r+") as file:
        file.write("two")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert content_of_sources([str(path)], memory) != before


def test_a_job_whose_sources_were_edited_since_its_run_began_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pairs.jsonl", "other.jsonl"):
        Path(name).write_text("one")
    begun = content_of_sources(["pairs.jsonl", "other.jsonl"])
    refuse_edited_sources(["pairs.jsonl", "other.jsonl"], begun)
    Path("pairs.jsonl").write_text("two")
    with pytest.raises(UserError, match=r"^pairs\.jsonl: edited since this run began"):
        refuse_edited_sources(["pairs.jsonl", "other.jsonl"], begun)
