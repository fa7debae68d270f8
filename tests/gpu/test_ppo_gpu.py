"""PPO on a CUDA device: bf16, memory, and what a CPU cannot show. Run by `pytest -m gpu`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.support import ppo_world as world
from trustdag.jsonfiles import read_jsonl

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def test_bf16_starts_at_ratio_1_and_learns(tmp_path: Path) -> None:
    # given
    trainer = world.trainer(
        tmp_path, updates=30, batch_size=64, minibatches=4, learning_rate=3e-3, kl_target=None, kl_coef=0.0,
        precision="bf16", collapse_patience=None,
    )  # fmt: skip
    # when
    trainer.train()
    # then
    metrics = read_jsonl(tmp_path / "metrics.jsonl")
    assert metrics[-1]["reward"] > 2 * metrics[0]["reward"] + 1
    assert all(parameter.dtype == torch.float32 for parameter in trainer.plain.parameters())
    assert trainer.reference is not None
    assert trainer.reference.dtype == torch.bfloat16


def test_a_resumed_run_goes_on(tmp_path: Path) -> None:
    world.trainer(tmp_path, updates=2).train()
    world.trainer(tmp_path, updates=4).train()
    assert [line["step"] for line in read_jsonl(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4]


def test_the_benchmark_measures_its_share_of_the_peak() -> None:
    # given
    benchmark = Path(__file__).parents[2] / "benchmarks" / "ppo.py"
    options = ["--shape", "pythia-1.4b", "--rounds", "1", "--updates", "2", "--sides", "ours"]
    # when
    done = subprocess.run([sys.executable, str(benchmark), *options], capture_output=True, text=True, timeout=3000)
    # then
    assert done.returncode == 0, done.stderr[-3000:]
    print(done.stdout)
    measured = [json.loads(line[line.index("{") :]) for line in done.stderr.splitlines() if '"flops"' in line]
    assert len(measured) == 2
    for each in measured:
        assert each["samples_per_second"] > 0
        assert each["flops"] > 0
        assert 0 < each.get("share", 0.5) < 1  # no share on a GPU whose peak flops.PEAKS does not name
