"""PPO on a CUDA device: bf16, memory, and what a CPU cannot show. Run by `pytest -m gpu`."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

import ppo_world as world

from trustdag.artifacts import read_jsonl

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def test_bf16_starts_at_ratio_1_and_learns(tmp_path):
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
    assert trainer.reference.dtype == torch.bfloat16


def test_a_resumed_run_goes_on(tmp_path):
    world.trainer(tmp_path, updates=2).train()
    world.trainer(tmp_path, updates=4).train()
    assert [line["step"] for line in read_jsonl(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4]
