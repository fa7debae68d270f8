"""Files are written atomically: a kill leaves the old or the new content."""

import json
import os
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trustdag.artifacts import (
    atomic_file,
    atomic_folder,
    clear_partials,
    disk_is_full,
    manifest,
    model_folder,
    read_table,
    sha256_text,
    write_json,
    write_table,
)
from trustdag.errors import UserError
from trustdag.jsonfiles import read_json
from trustdag.seals import model_digest


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
    with pytest.raises(UserError, match=r"x\.json: damaged: not JSON"):
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


def test_what_dead_processes_left_half_written_goes_and_what_living_ones_write_stays(tmp_path: Path) -> None:
    # Given half-written files and folders of a dead process, of a living one and of another host
    with atomic_folder(tmp_path / "model") as partial:
        (partial / "weights").write_text("half")
        living = partial.name
        dead = living.replace(str(os.getpid()), "4194303")
        elsewhere = living.replace(socket.gethostname().replace(".", "-"), "another-host")
        for name in (dead, elsewhere, dead.replace("model", "other")):
            (tmp_path / name).mkdir()
        # When another process writes the same output
        clear_partials(tmp_path, ".model.")
        # Then the dead one's is gone, and no other
        assert not (tmp_path / dead).exists()
        for name in (living, elsewhere, dead.replace("model", "other")):
            assert (tmp_path / name).is_dir()
    assert (tmp_path / "model" / "weights").read_text() == "half"


@pytest.mark.parametrize(
    "message",
    [
        "basic_ios::clear: iostream error",
        "[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0",
        "[enforce fail at inline_container.cc:858] . PytorchStreamWriter failed writing file data/3: file write failed",
        "Error while serializing: I/O error: No space left on device (os error 28)",
        'Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })',
        "[Errno 122] Error writing bytes to file. Detail: [errno 122] Disk quota exceeded",
    ],
)
def test_a_full_disk_is_known_by_the_words_of_libraries(message: str) -> None:
    assert disk_is_full(RuntimeError(message))
    assert not disk_is_full(RuntimeError("[enforce fail at inline_container.cc:263] . invalid header or archive"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("zipped", [True, False])
def test_torch_on_a_full_disk_is_told(zipped: bool) -> None:
    import torch

    state = {"exp_avg": torch.zeros(100_000)}
    with pytest.raises((RuntimeError, OSError)) as caught:
        torch.save(state, "/dev/full", _use_new_zipfile_serialization=zipped)
    assert disk_is_full(caught.value)


def frame() -> pd.DataFrame:
    return pd.DataFrame({"item": [f"item {row}" for row in range(200)], "value": np.linspace(0, 1, 200)})


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_table(tmp_path / "x.parquet", frame())
    pd.testing.assert_frame_equal(read_table(tmp_path / "x.parquet", ["item"], "rows"), frame())


def test_a_flipped_bit_in_a_table_never_gives_other_rows(tmp_path: Path) -> None:
    # Given a table, in whose data or in the file's own words about it one bit is flipped
    path = tmp_path / "x.parquet"
    write_table(path, frame())
    content, refused = path.read_bytes(), 0
    for place in range(4, len(content), 13):
        path.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        # Then it is refused by name, or what is read is what was written
        try:
            read = read_table(path, ["item", "value"], "rows")
        except UserError:
            refused += 1
        else:
            pd.testing.assert_frame_equal(read, frame())
    assert refused > len(content) / 13 / 2
