"""The arithmetic that benchmarks/ppo.py reports, against PyTorch's own count of what ran."""

import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.support import ppo_world as world
from trustdag.rl.trainer import PPOTrainer

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

import flops  # type: ignore[import-not-found]


def test_it_counts_what_a_training_step_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # PyTorch does not count the products of oneDNN, which trustdag uses where it is available.
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    # given a policy wide enough for its matrices to be what counts, and replies of several lengths
    policy = world.policy(hidden_size=64, intermediate_size=256, attn_implementation="eager")
    run = PPOTrainer(policy, world.tokenizer(), world.count_w5, world.prompts(), world.settings(), tmp_path)
    batch = run.rollout(run.next_prompts())
    longest = batch.tokens.shape[1]
    # when
    with FlopCounterMode(display=False) as counter:
        judged = run.plain.evaluate(batch.sequences)
        (judged.logprobs.sum() + judged.values.sum()).backward()
    # then, padding and the upper half of the attention, which ran, counted too
    trunk = sum(each.numel() for name, each in policy.gpt_neox.named_parameters() if "embed_in" not in name)
    rows, replies = len(batch.tokens), int(batch.mask.sum())
    output = policy.get_output_embeddings().weight.numel()
    expected = flops.step_flops(trunk, output, 2, 64, [longest] * rows, replies)
    upper_half = 6 * 2 * 64 * rows * longest**2
    assert counter.get_total_flops() == pytest.approx(expected + upper_half, rel=0.03)


def test_a_cpu_has_a_measured_peak() -> None:
    wall, processor = flops.peak(torch.device("cpu"))
    assert 1e9 < wall <= processor * 1.5
