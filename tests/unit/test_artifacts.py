"""Artefacts: old or new, never half."""

import json
from pathlib import Path

import pytest

from trustdag.artifacts import (
    atomic_file,
    atomic_folder,
    manifest,
    model_digest,
    model_folder,
    read_json,
    sha256_text,
    write_json,
)
from trustdag.errors import UserError


def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "file.json"
    write_json(target, {"old": 1})
    with pytest.raises(ZeroDivisionError), atomic_file(target) as partial:
        partial.write_text(str(1 / 0))
    assert json.loads(target.read_text()) == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]


def test_a_failure_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with atomic_folder(target) as partial:
        (partial / "weights").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_folder(target) as partial:
        (partial / "weights").write_text(str(1 / 0))
    assert (target / "weights").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_number_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})


def test_malformed_json_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(UserError, match=r"x\.json: not JSON"):
        read_json(tmp_path / "x.json")


def test_a_manifest_changes_with_the_weights_but_not_with_the_card(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"1")
    (tmp_path / "README.md").write_text("made on Monday")
    first = manifest(tmp_path, kind="policy")
    (tmp_path / "README.md").write_text("made on Tuesday")
    assert manifest(tmp_path)["sha256"] == first["sha256"]
    (tmp_path / ".snakemake_timestamp").touch()
    assert manifest(tmp_path)["sha256"] == model_digest(tmp_path) == first["sha256"]
    (tmp_path / "model.safetensors").write_bytes(b"2")
    assert manifest(tmp_path)["sha256"] != first["sha256"]


def test_lists_of_texts_do_not_share_digests() -> None:
    assert sha256_text(["ab", "c"]) != sha256_text(["a", "bc"])


def test_a_model_is_named_by_its_folder_its_stage_or_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "sft" / "model").mkdir(parents=True)
    for named in ("sft", "sft/model", "sft/manifest.json"):
        assert model_folder(tmp_path / named) == tmp_path / "sft" / "model"
    assert model_folder(tmp_path / "gone") == tmp_path / "gone"
