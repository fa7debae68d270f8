"""Several processes give what one gives, and leave one model."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.support import tiny_models as tiny
from tests.support.forks import start_two
from trustdag.align import methods
from trustdag.jobs.resumable import EXIT_RESUMABLE
from trustdag.jsonfiles import read_jsonl
from trustdag.models.load import load_policy


def train(world: Path, out: Path, method: str) -> None:
    """12 steps of a method, in one process or as one of several."""
    module = methods()[method]
    settings = module.Settings(
        batch_size=8, epochs=3, max_steps=12, max_length=64, learning_rate=1e-3, log_every=2, checkpoint_every=4
    )
    module.train(tiny.stage(method, world / "base" / "model", world / "data", out), settings)


@pytest.mark.parametrize("method", ["sft", pytest.param("dpo", marks=pytest.mark.slow)])
def test_two_processes_learn_what_one_learns_and_resume(method: str, world: Path, tmp_path: Path) -> None:
    train(world, tmp_path / "one", method)
    # Given two processes of which one is asked to stop
    processes = start_two(train, world, tmp_path / "two", method)
    deadline = time.monotonic() + 300
    while not tiny.has_logged(tmp_path / "two", 4):
        assert time.monotonic() < deadline
        assert all(process.is_alive() for process in processes)
        time.sleep(0.01)
    processes[1].terminate()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [EXIT_RESUMABLE, EXIT_RESUMABLE]
    # When both start again
    for process in (again := start_two(train, world, tmp_path / "two", method)):
        process.join(300)
    assert [process.exitcode for process in again] == [0, 0]
    # Then the model is that of one process with the same batch, and each step was logged once
    one, two = (load_policy(tmp_path / name / "model") for name in ("one", "two"))
    for expected, seen in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.allclose(expected, seen, atol=1e-5)
    steps = [(line["split"], line["step"]) for line in read_jsonl(tmp_path / "two" / "metrics.jsonl")]
    assert len(steps) == len(set(steps))
    last = [tiny.lines(tmp_path / name / "metrics.jsonl")[-1] for name in ("one", "two")]
    assert last[0] == {name: pytest.approx(value, abs=1e-3) for name, value in last[1].items() if name != "split"} | {
        "split": "train"
    }


@pytest.mark.slow
def test_two_processes_under_deepspeed_learn_what_one_learns(world: Path, tmp_path: Path) -> None:
    pytest.importorskip("deepspeed")
    # Given a stage whose steps are of two passes
    settings = {"batch_size": 8, "device_batch_size": 2, "max_steps": 6, "max_length": 64, "learning_rate": 1e-4}
    ours = methods()["sft"]
    policy = world / "base" / "model"
    ours.train(tiny.stage("sft", policy, world / "data", tmp_path / "one"), ours.Settings(**settings))
    # When
    root = Path(__file__).parents[3]
    launcher = ["-m", "accelerate.commands.launch", "--main_process_port", "0", "--num_processes", "2"]
    configuration = ["--config_file", str(root / "config" / "accelerate" / "deepspeed.yaml")]
    stage = ["align", "sft", "--policy", str(policy), "--data", str(world / "data"), "--out", str(tmp_path / "two")]
    command = [
        *launcher,
        *configuration,
        str(root / "tests" / "support" / "deepspeed_world.py"),
        *stage,
        "--prompt-format",
        "hh",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, *command, "--settings", json.dumps(settings)],
        env=environment, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    # Then
    one, two = (load_policy(tmp_path / name / "model") for name in ("one", "two"))
    for expected, seen in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.allclose(expected, seen, atol=1e-5)
