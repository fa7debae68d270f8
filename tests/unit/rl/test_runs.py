"""What a whole run does by its settings: what may change its result, what may not, and what it shows."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import ppo_world as world
from trustdag.jsonfiles import read_jsonl
from trustdag.models.cpu import MAPPED
from trustdag.rl.rollout import Prompt
from trustdag.rl.trainer import PPOTrainer, learning_rate_factor


def trained(folder: Path, **changes: Any) -> dict[str, torch.Tensor]:
    """The weights after two updates; Adam's own rounding, which divides by tiny gradients, kept small."""
    run = world.trainer(folder, updates=2, learning_rate=1e-4, **changes)
    run.train()
    return world.weights(run)


@pytest.mark.parametrize(
    "changes",
    [{"device_batch_size": 3}, {"rollout_batch_size": 3}, {"gradient_checkpointing": True}],
    ids=lambda changes: next(iter(changes)),
)
def test_what_saves_memory_does_not_change_what_is_learnt(changes: dict[str, Any], tmp_path: Path) -> None:
    plain, lean = trained(tmp_path / "plain"), trained(tmp_path / "lean", **changes)
    for name, value in plain.items():
        torch.testing.assert_close(lean[name], value, atol=1e-5, rtol=0)


def test_frozen_models_in_a_file_change_no_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {}
    for largest in (MAPPED, 0):  # the largest model that stays in memory
        monkeypatch.setattr("trustdag.models.mapped.MAPPED", largest)
        runs[largest] = world.trainer(tmp_path / str(largest), world.reward_model(), updates=2, value="reward_copy")
        runs[largest].train()
    plain, lean = map(world.weights, runs.values())
    assert [len(run.rollouts.models.mapped) for run in runs.values()] == [0, 2]
    assert all(torch.equal(lean[name], value) for name, value in plain.items())


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_closed_trainer_uses_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trustdag.models.mapped.MAPPED", 0)
    run = world.trainer(tmp_path, world.reward_model(), updates=1)
    run.train()
    assert str(tmp_path) in Path("/proc/self/maps").read_text(encoding="utf-8")
    # when
    run.close()
    # then
    assert str(tmp_path) not in Path("/proc/self/maps").read_text(encoding="utf-8")
    assert run.trained_policy()[0].num_parameters() > 0


def test_prompts_may_be_conversations(tmp_path: Path) -> None:
    # given the same prompts as texts and as conversations
    texts: list[Prompt] = [*world.prompts()]
    conversations: list[Prompt] = [[{"role": "user", "content": text}] for text in world.prompts()]
    # when
    for name, prompts in (("texts", texts), ("conversations", conversations)):
        PPOTrainer(
            world.policy(),
            world.tokenizer(),
            world.count_w5,
            prompts,
            world.settings(),
            tmp_path / name,
            prompt_format="plain",
        ).train()
    # then
    samples = [read_jsonl(tmp_path / name / "samples.jsonl") for name in ("texts", "conversations")]
    assert samples[0] == samples[1]


def test_temperature_is_one_thing_in_sampling_reference_and_learning(tmp_path: Path) -> None:
    # given one optimizer step, so that the policy is compared with itself
    run = world.trainer(tmp_path, updates=1, epochs=1, minibatches=1, temperature=0.6)
    # when
    run.train()
    # then
    line = read_jsonl(tmp_path / "metrics.jsonl")[0]
    assert line["kl"] == pytest.approx(0, abs=1e-5)
    assert line["approx_kl"] == pytest.approx(0, abs=1e-6)


def test_the_references_logits_exist_for_a_minibatch_at_a_time(tmp_path: Path) -> None:
    # given 8 replies of at most 8 tokens in 4 minibatches
    run = world.trainer(tmp_path, minibatches=4)
    seen: list[int] = []
    assert run.reference is not None
    run.reference.get_output_embeddings().register_forward_hook(lambda _module, _args, out: seen.append(len(out)))
    # when
    batch = run.rollout(run.next_prompts())
    # then
    assert sum(seen) == int(batch.mask.sum())
    assert len(seen) == 4


class TestLearningRate:
    def test_it_rises_and_falls_as_the_schedule_says(self) -> None:
        def factors(schedule: str) -> list[float]:
            settings = world.settings(updates=6, warmup=0.34, schedule=schedule)
            return [learning_rate_factor(settings, update) for update in range(6)]

        assert factors("constant") == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1])
        assert factors("linear") == pytest.approx([1 / 3, 2 / 3, 1, 0.75, 0.5, 0.25])
        assert factors("cosine")[2:] == pytest.approx([1, 0.8535534, 0.5, 0.1464466])

    def test_it_is_what_is_logged(self, tmp_path: Path) -> None:
        world.trainer(tmp_path, schedule="linear", warmup=0.0, learning_rate=1e-3).train()
        logged = [line["learning_rate"] for line in read_jsonl(tmp_path / "metrics.jsonl")]
        assert logged == pytest.approx([1e-3, 0.75e-3, 0.5e-3, 0.25e-3])


class Terminal(io.StringIO):
    """A terminal, as far as a progress bar asks."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_a_log_gets_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # when output goes to a file
    world.trainer(tmp_path / "log").train()
    # then
    assert "ppo 4/4: reward " in capsys.readouterr().out
    # when it goes to a terminal
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    world.trainer(tmp_path / "terminal").train()
    # then
    shown = terminal.getvalue()
    assert "ppo: 100%" in shown
    assert "KL " in shown
    assert "ppo 4/4" not in capsys.readouterr().out
