"""A run that is interrupted ends in the same weights; several processes equal one."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support import ppo_world as world
from tests.support.forks import FORKS, start_two
from trustdag.errors import UserError
from trustdag.jobs.resumable import EXIT_RESUMABLE
from trustdag.jsonfiles import read_jsonl
from trustdag.rl.batch import Experience
from trustdag.rl.trainer import PPOTrainer
from trustdag.train import checkpoints

ACCELERATE = Path(__file__).parents[3] / "config" / "accelerate"


def start(folder: Path, changes: dict[str, Any]) -> ForkServerProcess:
    """A run as a process of its own."""
    process = FORKS.Process(target=world.run_to_the_end, args=(folder, dict(changes)))
    process.start()
    return process


def final(folder: Path) -> dict[str, torch.Tensor]:
    """The weights that a run ended in, and its policy as a stage would write it."""
    policy = load_file(folder / "policy.safetensors")
    return load_file(folder / "final.safetensors") | {f"written {name}": value for name, value in policy.items()}


def assert_identical(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    """Bit for bit."""
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def run_with_kills(folder: Path, changes: dict[str, Any], kills: Sequence[tuple[float, int]]) -> list[int]:
    """Starts a run again until it ends, each time sending the next signal after its delay; returns the exit codes."""
    codes: list[int] = []
    attempts: list[tuple[float | None, int]] = [*kills, (None, 0)]
    for delay, number in attempts:
        process = start(folder, changes)
        if delay is not None:
            began = checkpoints_and_partials(folder)
            until = time.monotonic() + 60
            while checkpoints_and_partials(folder) == began and process.is_alive() and time.monotonic() < until:
                time.sleep(0.002)  # the delay counts from the first checkpoint of this process, so that work is lost
            time.sleep(delay)
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, number)
        process.join(timeout=300)
        assert process.exitcode is not None, "the run does not end"
        codes.append(process.exitcode)
        if process.exitcode == 0:
            break
    return codes


def checkpoints_and_partials(folder: Path) -> list[str]:
    """The present content of a run's folder."""
    return sorted(path.name for path in folder.glob("*checkpoint-*"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 updates without interruption."""
    folder = tmp_path_factory.mktemp("undisturbed")
    process = start(folder, {"updates": 20})
    process.join()
    assert process.exitcode == 0
    return folder


def test_kills_do_not_change_the_weights(undisturbed: Path, tmp_path: Path) -> None:
    # given
    kills = [(0.02, signal.SIGKILL), (0.0, signal.SIGTERM), (0.0, signal.SIGUSR1)]
    # when
    codes = run_with_kills(tmp_path, {"updates": 20}, kills)
    # then
    assert codes[-1] == 0
    assert codes[:-1] == [-signal.SIGKILL, EXIT_RESUMABLE, EXIT_RESUMABLE]
    assert_identical(final(tmp_path), final(undisturbed))
    assert [record["step"] for record in read_jsonl(tmp_path / "metrics.jsonl")] == list(range(1, 21))


@pytest.mark.slow
def test_thirty_kills_at_random_moments_end_in_the_same_weights(tmp_path: Path) -> None:
    # given
    changes: dict[str, Any] = {"updates": 60, "reward_model": True, "value": "reward_copy"}
    process = start(tmp_path / "undisturbed", changes)
    process.join()
    draw = random.Random(0)
    kills = [(draw.uniform(0, 0.1), draw.choice([signal.SIGKILL, signal.SIGTERM])) for _ in range(30)]
    # when
    codes = run_with_kills(tmp_path / "killed", changes, kills)
    # then
    assert codes[-1] == 0
    assert len([code for code in codes if code != 0]) >= 20, f"too few kills hit: {codes}"
    assert_identical(final(tmp_path / "killed"), final(tmp_path / "undisturbed"))


def test_a_signal_leaves_a_checkpoint_and_the_code_that_says_so(tmp_path: Path) -> None:
    # given a run that has been asked to stop before its first update
    stop = checkpoints.StopRequest()
    stop.signal = signal.SIGUSR1
    run = world.trainer(tmp_path, updates=50, checkpoint_every=50)
    # when
    with pytest.raises(SystemExit) as left:
        run.train(stop)
    # then
    assert left.value.code == 75
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-1"]


def test_a_kill_in_the_middle_of_a_checkpoint_leaves_the_previous_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a run whose second checkpoint fails half way
    run = world.trainer(tmp_path, updates=4)
    save_state = run.accelerator.save_state

    def failing(folder: str) -> None:
        save_state(folder)
        if run.update == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(run.accelerator, "save_state", failing)
    with pytest.raises(KeyboardInterrupt):
        run.train()
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-1"]
    # when
    again = world.trainer(tmp_path, updates=4)
    again.train()
    # then
    whole = world.trainer(tmp_path / "whole", updates=4)
    whole.train()
    assert_identical(world.weights(again), world.weights(whole))


@pytest.mark.parametrize(
    "changes",
    [
        {"value": "policy_copy", "device_batch_size": 3},
        {"lora": {"rank": 2}},
        {"top_layers": 1, "gradient_checkpointing": True},
    ],
    ids=["separate value model", "lora", "top layers"],
)
def test_every_kind_of_run_resumes_bit_for_bit(changes: dict[str, Any], tmp_path: Path) -> None:
    # given
    whole = world.trainer(tmp_path / "whole", **changes)
    whole.train()
    # when
    stop = checkpoints.StopRequest()
    stop.signal = signal.SIGTERM
    with pytest.raises(SystemExit):
        world.trainer(tmp_path / "parts", **changes).train(stop)
    resumed = world.trainer(tmp_path / "parts", **changes)
    resumed.train()
    # then
    assert_identical(world.weights(resumed), world.weights(whole))
    assert resumed.kl.coef == whole.kl.coef
    assert resumed.moments == whole.moments


def test_a_reward_function_that_draws_numbers_goes_on_where_it_was(tmp_path: Path) -> None:
    # given
    def noisy(_prompts: Sequence[Any], completions: Sequence[str]) -> list[float]:
        return [random.random() + torch.rand(()).item() for _ in completions]

    def seeded(folder: Path) -> PPOTrainer:
        random.seed(3)
        torch.manual_seed(3)
        return world.trainer(folder, noisy)

    whole = seeded(tmp_path / "whole")
    random.seed(3), torch.manual_seed(3)
    whole.train()
    # when
    stop = checkpoints.StopRequest()
    stop.signal = signal.SIGTERM
    first = seeded(tmp_path / "parts")
    random.seed(3), torch.manual_seed(3)
    with pytest.raises(SystemExit):
        first.train(stop)
    resumed = world.trainer(tmp_path / "parts", noisy)
    resumed.train()
    # then
    assert_identical(world.weights(resumed), world.weights(whole))


def test_divergence_stops_with_what_and_when_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    # given a reward that breaks the weights in the third update
    class Poisoned(PPOTrainer):
        def improve(self, minibatch: Experience) -> None:
            if self.update == 2:
                minibatch.advantages[0, 0] = torch.nan
            super().improve(minibatch)

    settings = world.settings(updates=6, kl_limit=None)
    run = Poisoned(world.policy(), world.tokenizer(), world.count_w5, world.prompts(), settings, tmp_path)
    # when, then
    with pytest.raises(UserError, match="gradient norm is nan in update 3"):
        run.train()
    assert max(path.name for path in tmp_path.glob("checkpoint-*")) == "checkpoint-2"
    assert all(torch.isfinite(value).all() for value in world.weights(run).values())


def test_a_kl_beyond_the_limit_stops(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"KL to the reference is .* in update \d+, above kl_limit 0.001"):
        world.trainer(tmp_path, updates=20, learning_rate=1e-2, kl_limit=0.001).train()


def test_a_collapsed_policy_stops(tmp_path: Path) -> None:
    # given a policy that says one thing
    policy = world.policy()
    with torch.no_grad():
        policy.get_output_embeddings().weight.zero_()
        policy.gpt_neox.final_layer_norm.weight.zero_()
        policy.gpt_neox.final_layer_norm.bias.fill_(1.0)
        policy.get_output_embeddings().weight[7].fill_(100.0)
    run = PPOTrainer(
        policy, world.tokenizer(), world.count_w5, world.prompts(), world.settings(collapse_patience=2), tmp_path
    )
    # when, then
    with pytest.raises(UserError, match="collapsed: in each of 2 updates up to 2"):
        run.train()


def two_processes(configuration: str, script: str, folder: Path, changes: dict[str, Any]) -> None:
    """Trains in two processes that accelerate starts with one of our configurations."""
    launcher = ["-m", "accelerate.commands.launch", "--config_file", str(ACCELERATE / configuration)]
    ports = ["--main_process_port", "0", "--num_processes", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, *launcher, *ports, script, str(folder), json.dumps(changes)],
        env=environment, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def assert_close(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    """To 1e-5."""
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, atol=1e-5, rtol=0, msg=partial("{}: {}".format, name))


def two_forks(folder: Path, changes: dict[str, Any]) -> None:
    """Trains in two processes that are forks."""
    processes = start_two(world.run_to_the_end, folder, dict(changes))
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0, 0]


@pytest.mark.parametrize(
    ("train", "changes"),
    [
        pytest.param(two_forks, {}, id="head"),
        pytest.param(
            partial(two_processes, "multi_cpu.yaml", world.__file__),
            {"device_batch_size": 1, "value": "policy_copy"},
            id="accumulating",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_two_processes_equal_one_with_the_same_global_batch(
    train: Callable[[Path, dict[str, Any]], None], changes: dict[str, Any], tmp_path: Path
) -> None:
    # given
    changes = {"updates": 3, "learning_rate": 1e-4, **changes}
    process = start(tmp_path / "one", changes)
    process.join()
    # when
    train(tmp_path / "two", changes)
    # then
    assert_close(final(tmp_path / "two"), final(tmp_path / "one"))
    logs = [read_jsonl(tmp_path / name / "metrics.jsonl") for name in ("one", "two")]
    for ours, theirs in zip(*logs, strict=True):
        for name in ("reward", "kl", "length", "policy_loss", "entropy", "grad_norm"):
            assert theirs[name] == pytest.approx(ours[name], abs=1e-5), name


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"lora": {"rank": 2}}], ids=["all weights", "lora"])
def test_two_processes_that_share_out_the_weights_equal_one(changes: dict[str, Any], tmp_path: Path) -> None:
    assert_two_equal_one("fsdp", changes, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{}, {"device_batch_size": 1, "lora": {"rank": 2}}], ids=["all", "lora, accumulating"]
)
def test_two_processes_under_deepspeed_equal_one(changes: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("deepspeed")
    assert_two_equal_one("deepspeed", changes, tmp_path)


def assert_two_equal_one(sharding: str, changes: dict[str, Any], tmp_path: Path) -> None:
    # given
    changes = {"updates": 2, "learning_rate": 1e-4, **changes}
    process = start(tmp_path / "one", changes)
    process.join()
    script = str(Path(world.__file__).with_name(f"{sharding}_world.py"))
    # when
    two_processes(f"{sharding}.yaml", script, tmp_path / "two", changes)
    # then
    assert_close(final(tmp_path / "two"), final(tmp_path / "one"))
    # when the finished run is started again, from its checkpoint
    (tmp_path / "two" / "final.safetensors").unlink()
    two_processes(f"{sharding}.yaml", script, tmp_path / "two", changes)
    # then
    assert_close(final(tmp_path / "two"), final(tmp_path / "one"))
