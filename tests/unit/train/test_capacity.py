"""A model that is too large, or a disk that is too small, is named before training begins, with what would fit."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.support import tiny_models as tiny
from trustdag.align import dpo, ppo, sft
from trustdag.errors import UserError
from trustdag.models.size import Memory, parameters_in_folder
from trustdag.train.capacity import (
    DiskNeed,
    ForwardPass,
    StageSize,
    check_disk,
    check_memory,
    disk_need,
    stage_memory,
)
from trustdag.train.settings import Lora
from trustdag.train.stage import Stage

SEVEN_BILLION = StageSize(
    parameters=7_000_000_000,
    hidden=4096,
    layers=32,
    forward=ForwardPass(examples=16, tokens=1024, recompute=False),
    trained=7e9,
)
FOLDER = Path("models/seven")


def machine(gigabytes: float) -> Memory:
    return Memory(gigabytes * 1e9, "this machine")


# --- Memory ---


def test_the_state_is_sixteen_bytes_for_each_trained_parameter() -> None:
    assert SEVEN_BILLION.state == 16 * 7e9


def test_a_frozen_model_and_a_value_model_of_its_own_are_counted() -> None:
    size = replace(SEVEN_BILLION, trunks=2, trained=14e9, frozen=28e9)
    assert size.state == 2 * 16 * 7e9 + 28e9


def test_a_state_that_does_not_fit_is_refused_with_the_sum_and_what_would_fit() -> None:
    with pytest.raises(
        UserError,
        match=r"models/seven: dpo of 7 billion parameters needs 112 GB .* this machine has 48 GB; "
        r"`lora: \{rank: 8\}` with `device_batch_size: 1` .*would fit, with 3\d(\.\d)? GB",
    ):
        check_memory(FOLDER, "dpo", SEVEN_BILLION, machine(48))


def test_where_nothing_would_fit_that_is_said() -> None:
    with pytest.raises(UserError, match=r"not even `lora: \{rank: 8\}` .* would fit, with .* take a smaller model"):
        check_memory(FOLDER, "dpo", SEVEN_BILLION, machine(16))


@pytest.mark.parametrize(
    ("gigabytes", "mend"),
    [
        (160, "`device_batch_size: 1` would fit"),
        (115, "`device_batch_size: 1` with `gradient_checkpointing: true` would fit"),
    ],
)
def test_activations_that_may_not_fit_are_said_with_what_would(
    gigabytes: float, mend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_memory(FOLDER, "sft", SEVEN_BILLION, machine(gigabytes))
    said = capsys.readouterr().err
    assert f"has {gigabytes:g} GB; {mend}" in said
    assert "16 examples of 1024 tokens" in said


def test_what_fits_is_not_spoken_of(capsys: pytest.CaptureFixture[str]) -> None:
    check_memory(FOLDER, "sft", SEVEN_BILLION, machine(1000))
    assert capsys.readouterr().err == ""


def test_only_one_of_several_processes_says_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    check_memory(FOLDER, "sft", SEVEN_BILLION, machine(160))
    assert capsys.readouterr().err == ""


def test_processes_that_divide_the_state_have_the_memory_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    one = stage_memory().size
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert stage_memory().size == 4 * one


def test_processes_of_one_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Memory.of_machine().size
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert Memory.of_machine().size == pytest.approx(alone / 2)


def test_the_parameters_are_read_from_the_headers_of_the_files(tmp_path: Path) -> None:
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        save_file({"weight": torch.zeros(3, 5), "bias": torch.zeros(7)}, str(tmp_path / name), {"format": "pt"})
    assert parameters_in_folder(tmp_path) == 2 * (15 + 7)


def test_a_file_that_is_not_read_does_not_count(tmp_path: Path) -> None:
    # given the weights twice, as Mistral's repositories have them
    for name in ("model.safetensors", "consolidated.safetensors"):
        save_file({"weight": torch.zeros(3, 5)}, str(tmp_path / name), {"format": "pt"})
    (tmp_path / "config.json").write_text("{}")
    assert parameters_in_folder(tmp_path) == 15


@pytest.mark.parametrize(
    "content", [b"version https://git-lfs.github.com/spec/v1", b"", (9).to_bytes(8, "little") + b"{not json"]
)
def test_a_file_without_a_header_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"model\.safetensors: (a pointer of git-lfs|damaged or cut short)"):
        parameters_in_folder(tmp_path)


@pytest.mark.parametrize(("value", "trunks", "models"), [("head", 1, 2), ("policy_copy", 2, 2)])
def test_ppo_reads_a_reference_and_a_reward_model(value: str, trunks: int, models: int, tmp_path: Path) -> None:
    policy = tiny.write_base(tmp_path / "base")
    stage = Stage("ppo", policy, policy, tmp_path, 0, "hh", tmp_path / "out")
    size = ppo.stage_size(stage, ppo.Settings.model_validate({"value": value, "max_length": 64, "max_new_tokens": 8}))
    assert (size.trunks, size.frozen) == (trunks, models * 4 * size.parameters)


@pytest.mark.parametrize(("settings", "copies", "models"), [({}, 0, 2), ({"lora": {"rank": 4}}, 1, 1)])
def test_large_models_that_are_only_read_need_a_disk_and_the_memory_of_gradients(
    settings: dict[str, Any], copies: int, models: int, tmp_path: Path
) -> None:
    # given a policy and a reward model of 80 MB
    policy = large_model(tiny.write_base(tmp_path / "base"), 20_000_000)
    stage = Stage("ppo", policy, policy, tmp_path, 0, "hh", tmp_path / "out")
    own = ppo.Settings.model_validate({"max_length": 64, "max_new_tokens": 8} | settings)
    # when
    size, (kept, mapped) = ppo.stage_size(stage, own), ppo.frozen_sizes(stage, own)
    # then gradients have room for a model while it is read; those of an adapter do not
    assert size.frozen == pytest.approx(copies * (80e6 - 4 * size.trained))
    assert (kept, mapped) == ([], [80e6] * models)


def test_an_adapter_needs_no_state_for_the_weights_below_it(tmp_path: Path) -> None:
    policy = tiny.write_base(tmp_path / "base", hidden_size=512)
    stage = Stage("ppo", policy, policy, tmp_path, 0, "hh", tmp_path / "out")
    whole = ppo.stage_size(stage, ppo.Settings(max_length=64, max_new_tokens=8))
    adapter = ppo.stage_size(stage, ppo.Settings(max_length=64, max_new_tokens=8, lora=Lora(rank=8)))
    assert adapter.trained < 0.05 * whole.trained
    assert adapter.frozen == whole.frozen / 2  # the reference is the policy with its adapter off


# --- A stage ---


def large_model(folder: Path, parameters: int) -> Path:
    """The tiny model, with an index that leads to a file of so many weights that has no content on the disk."""
    name = "model.safetensors"
    header = f'{{"weight":{{"dtype":"F32","shape":[{parameters}],"data_offsets":[0,{4 * parameters}]}}}}'.encode()
    (folder / name).unlink()
    with (folder / name).open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 4 * parameters)
    return folder


def test_a_stage_on_a_model_that_is_too_large_ends_before_it_begins(tmp_path: Path) -> None:
    data = tiny.write_data(tmp_path / "data")
    policy = large_model(tiny.write_base(tmp_path / "base"), 200_000_000_000)
    for method, settings in ((sft, sft.Settings(max_length=64)), (dpo, dpo.Settings(max_length=64))):
        stage = tiny.stage(method.__name__.rpartition(".")[2], policy, data, tmp_path / "out")
        with pytest.raises(UserError, match=r"of 200 billion parameters needs 3\.2e\+03 GB of memory"):
            method.train(stage, settings)
    assert not (tmp_path / "out").exists()


# --- Disk ---


@pytest.mark.parametrize(
    ("steps", "every", "checkpoints"), [(10, 20, 0), (20, 20, 0), (21, 20, 1), (40, 20, 1), (41, 20, 2), (900, 20, 2)]
)
def test_at_most_two_checkpoints_lie_on_the_disk_and_none_of_the_last_step(
    steps: int, every: int, checkpoints: int
) -> None:
    need = disk_need(SEVEN_BILLION, steps, sft.Settings(checkpoint_every=every))
    assert need == DiskNeed(12 * 7e9, checkpoints, 4 * 7e9)


def test_a_checkpoint_of_an_adapter_holds_the_adapter_alone() -> None:
    size = replace(SEVEN_BILLION, trained=1e7)
    assert disk_need(size, 1000, sft.Settings(lora=Lora())).checkpoint == 12 * 1e7
    assert disk_need(size, 1000, ppo.Settings(lora=Lora())).checkpoint == 4 * 7e9 + 8 * 1e7


def test_a_disk_that_is_too_small_is_named_with_the_sum(tmp_path: Path) -> None:
    folder = tmp_path / "out" / ".checkpoints" / "key"
    folder.mkdir(parents=True)
    with pytest.raises(
        UserError,
        match=r"out: training writes 2\.4e\+09 GB \(2 checkpoints of 1e\+09 GB and the model of 4e\+08 GB\), .* GB "
        r"are free on its disk; free 2\.4e\+09 GB more, or make checkpoints smaller \(`lora`\) or fewer",
    ):
        check_disk(folder, DiskNeed(1e18, 2, 4e17))


def test_checkpoints_that_are_there_make_room_for_their_successors(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path)
    available = free.f_bavail * free.f_frsize
    with (tmp_path / "old").open("wb") as file:
        file.truncate(2 * available)
    check_disk(tmp_path, DiskNeed(1.2 * available, 2, 0.0))


def test_a_stage_on_a_full_disk_ends_before_it_trains(tmp_path: Path) -> None:
    # given a disk of its own for the outputs, of half a megabyte
    data, policy, out = tiny.write_data(tmp_path / "data"), tiny.write_base(tmp_path / "base"), tmp_path / "out"
    out.mkdir()
    command = [
        sys.executable, "-m", "trustdag", "align", "sft", "--policy", str(policy), "--data", str(data),
        "--settings", '{"max_length": 64, "max_steps": 30, "batch_size": 4, "checkpoint_every": 5}', "--out", str(out),
    ]  # fmt: skip
    mount = f"mount -t tmpfs -o size=500k tmpfs {out}"
    own_disk = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    if subprocess.run([*own_disk, mount], check=False, capture_output=True).returncode:
        pytest.skip("a disk of one's own cannot be mounted here")
    # when a stage trains there
    done = subprocess.run(
        [*own_disk, f'{mount} && exec "$@"', "sh", *command], check=False, capture_output=True, text=True
    )
    # then it ends with the sum, before its first step
    assert done.returncode == 2, done.stderr
    assert "training writes" in done.stderr
    assert "2 checkpoints of" in done.stderr
    assert "1 of 30 steps" not in done.stderr
