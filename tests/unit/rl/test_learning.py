"""PPO learns tasks with a known optimum, and changes nothing if there is nothing to learn."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState
from transformers import GPTNeoXForCausalLM

from tests.support import ppo_world as world
from trustdag.jsonfiles import read_jsonl
from trustdag.rl.rewards import RewardFunction
from trustdag.rl.trainer import PPOTrainer


def nearly_uniform() -> GPTNeoXForCausalLM:
    """A policy that has no habits yet."""
    return world.policy(initializer_range=0.02)


def train(
    folder: Path, reward: RewardFunction, policy: GPTNeoXForCausalLM | None = None, **changes: Any
) -> list[dict[str, Any]]:
    """The metrics of a run from a nearly uniform policy."""
    base = {
        "updates": 20,
        "batch_size": 32,
        "minibatches": 4,
        "epochs": 4,
        "learning_rate": 3e-3,
        "kl_coef": 0.0,
        "kl_target": None,
        "kl_limit": None,
        "entropy_coef": 0.0,
        "schedule": "constant",
        "warmup": 0.0,
        "reward_scaling": "none",
        "collapse_patience": None,
        "missing_end_penalty": 0.0,
        "checkpoint_every": 1000,
    }
    trainer = PPOTrainer(
        policy or nearly_uniform(),
        world.tokenizer(),
        reward,
        world.prompts(),
        world.settings(**(base | changes)),
        folder,
    )
    trainer.train()
    return read_jsonl(folder / "metrics.jsonl")


def mean(metrics: list[dict[str, Any]], name: str, count: int) -> float:
    """The mean over the last `count` updates: the batch of one update is noisy."""
    return sum(line[name] for line in metrics[-count:]) / count


def test_it_learns_to_say_one_word_all_the_time(tmp_path: Path) -> None:
    # given a reward of 1 for each w5 in 8 tokens; the start says it once in 32 tokens
    # when
    metrics = train(tmp_path, world.count_w5, updates=80, schedule="linear")
    # then
    assert metrics[0]["reward"] < 1
    assert mean(metrics, "reward", 5) > 7  # the optimum is 8


def test_it_learns_to_end_at_once(tmp_path: Path) -> None:
    # given a reward of minus the length
    def short(_prompts: Sequence[Any], completions: Sequence[str]) -> list[float]:
        return [-float(len(text.split())) for text in completions]

    # when
    metrics = train(tmp_path, short)
    # then
    assert metrics[0]["length"] > 6
    assert mean(metrics, "length", 5) < 1.5  # the optimum is the end-of-text token alone
    assert mean(metrics, "ended", 5) > 0.95


def test_a_missing_end_that_costs_is_learned(tmp_path: Path) -> None:
    def nothing(_prompts: Sequence[Any], completions: Sequence[str]) -> list[float]:
        return [0.0] * len(completions)

    # A rate that falls to 0: at a constant one the last updates still swing by a few replies of the 32.
    metrics = train(tmp_path, nothing, missing_end_penalty=5.0, schedule="linear")
    assert metrics[0]["ended"] < 0.5
    assert mean(metrics, "ended", 5) > 0.95


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_a_constant_reward_leaves_the_policy_at_the_reference(estimator: str, tmp_path: Path) -> None:
    # given a policy with habits, nothing to learn, and batches so large that k1, which has a sign, is nearly the KL
    metrics = train(
        tmp_path, lambda prompts, completions: [1.0] * len(completions), world.policy(), kl_coef=0.1,
        learning_rate=1e-4, updates=10, kl_estimator=estimator, batch_size=128,
    )  # fmt: skip
    # then
    assert max(abs(line["kl_per_token"]) for line in metrics) < 0.01


def test_the_kl_penalty_holds_the_policy_near_the_reference(tmp_path: Path) -> None:
    free = train(tmp_path / "free", world.count_w5, updates=15)
    held = train(tmp_path / "held", world.count_w5, updates=15, kl_coef=2.0)
    assert held[-1]["kl"] < free[-1]["kl"] / 2


def test_the_adaptive_controller_reaches_its_target(tmp_path: Path) -> None:
    metrics = train(tmp_path, world.count_w5, updates=60, kl_coef=1.0, kl_target=3.0, kl_horizon=48, learning_rate=1e-3)
    assert mean(metrics, "kl", 30) == pytest.approx(3.0, rel=0.35)


@pytest.fixture
def other_precision() -> Iterator[None]:
    """accelerate lets a process choose its precision once."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("other_precision")
def test_in_bf16_the_first_ratio_is_1(tmp_path: Path) -> None:
    # given one optimizer step, so that what is measured is the policy against itself
    changes: dict[str, Any] = {"updates": 1, "epochs": 1, "minibatches": 1, "precision": "bf16"}
    # when
    metrics = train(tmp_path, world.count_w5, world.policy(), **changes)
    # then
    assert metrics[0]["approx_kl"] == pytest.approx(0, abs=1e-6)
    assert metrics[0]["policy_clip_fraction"] == 0
