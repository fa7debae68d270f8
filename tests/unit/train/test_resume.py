"""A stage that is killed and started again ends with bit-identical weights."""

import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support import tiny_models as tiny
from trustdag.align import methods
from trustdag.jobs.resumable import EXIT_RESUMABLE
from trustdag.jsonfiles import read_jsonl
from trustdag.train.pretrain import make

SETTINGS: dict[str, dict[str, Any]] = {
    "sft": {"lora": {"rank": 2, "dropout": 0.1}},  # dropout: random states must be restored too
    "reward": {"lora": {"rank": 2}},
    "dpo": {"evaluate_every": 7},
}


def train(method: str, world: Path, out: Path, checkpoint_every: int = 6, log_every: int = 4) -> None:
    """40 steps of a method in two and a half epochs."""
    module = methods()[method]
    settings = module.Settings(
        batch_size=3,
        epochs=3,
        max_steps=40,
        max_length=64,
        learning_rate=1e-3,
        checkpoint_every=checkpoint_every,
        log_every=log_every,
        **SETTINGS[method],
    )
    module.train(tiny.stage(method, world / "base" / "model", world / "data", out), settings)


def pretrain(method: str, world: Path, out: Path) -> None:
    """The base model from scratch."""
    settings = tiny.scratch(steps=40, checkpoint_every=6, log_every=4)
    make(settings, world / "data" / "corpus.parquet", "hh", out)


@pytest.mark.parametrize("method", ["base", "sft", "reward", "dpo"])
def test_a_killed_run_ends_with_the_same_weights_and_metrics(method: str, world: Path, tmp_path: Path) -> None:
    # Given a run without failures
    run = pretrain if method == "base" else train
    run(method, world, tmp_path / "whole")
    # When another is killed at a random step, and asked to stop at a later one
    kill_step, stop_step = random.randint(1, 18), random.randint(20, 34)
    process = tiny.start(run, method, world, tmp_path / "killed")
    tiny.kill_at(process, tmp_path / "killed", kill_step, signal.SIGKILL)
    assert process.exitcode == -signal.SIGKILL
    process = tiny.start(run, method, world, tmp_path / "killed")
    tiny.kill_at(process, tmp_path / "killed", stop_step, signal.SIGTERM)
    assert process.exitcode == EXIT_RESUMABLE
    # Then the third start ends with the same weights, and no step is logged twice
    run(method, world, tmp_path / "killed")
    assert tiny.weights(tmp_path / "killed") == tiny.weights(tmp_path / "whole"), (kill_step, stop_step)
    seen = [(line["split"], line["step"]) for line in read_jsonl(tmp_path / "killed" / "metrics.jsonl")]
    assert len(seen) == len(set(seen)), (kill_step, stop_step)
    whole, killed = (tiny.lines(tmp_path / name / "metrics.jsonl", "validation") for name in ("whole", "killed"))
    assert killed == whole
    assert tiny.lines(tmp_path / "killed" / "metrics.jsonl")[-1] == tiny.lines(tmp_path / "whole" / "metrics.jsonl")[-1]
    # And nothing is left of the checkpoints
    assert not (tmp_path / "killed" / ".checkpoints").exists()


def spoil(path: Path) -> None:
    """Flips one bit in the middle of a file."""
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])


@pytest.mark.parametrize(
    ("method", "beside"), [("base", "tokenizer/tokenizer.json"), ("dpo", "reference-train/logps.safetensors")]
)
def test_a_run_whose_files_were_damaged_ends_with_the_same_weights_and_metrics(
    method: str, beside: str, world: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Given a run without failures, and one that was stopped and has two checkpoints
    run = pretrain if method == "base" else train
    run(method, world, tmp_path / "whole")
    process = tiny.start(run, method, world, tmp_path / "killed")
    tiny.kill_at(process, tmp_path / "killed", 20, signal.SIGTERM)
    folder = tiny.checkpoint_folder(tmp_path / "killed")
    older, newest = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name[len("checkpoint-") :]))
    # When the optimizer of the newest, what lies beside the checkpoints, and the log are damaged
    for damaged in (newest / "optimizer.pt", folder / beside):
        spoil(damaged)
    (folder / "metrics.jsonl").write_text("")
    capfd.readouterr()
    run(method, world, tmp_path / "killed")
    # Then it says so, goes on from the one before, and ends as if nothing had happened
    said = capfd.readouterr().err
    assert f"{newest} is damaged (optimizer.pt is not as it was written)" in said
    assert f"{folder / beside.split('/')[0]} is damaged ({beside.split('/')[1]} is not as it was written)" in said
    assert f"{older} is damaged" not in said
    assert tiny.weights(tmp_path / "killed") == tiny.weights(tmp_path / "whole")
    for split in ("train", "validation"):
        ours, theirs = (tiny.lines(tmp_path / name / "metrics.jsonl", split) for name in ("killed", "whole"))
        assert ours == theirs


def test_a_run_goes_on_with_other_intervals_of_checkpoints_and_metrics(world: Path, tmp_path: Path) -> None:
    # Given a run that is asked to stop
    train("dpo", world, tmp_path / "whole")
    process = tiny.start(train, "dpo", world, tmp_path / "stopped")
    tiny.kill_at(process, tmp_path / "stopped", 8, signal.SIGTERM)
    assert process.exitcode == EXIT_RESUMABLE
    stopped = read_jsonl(tiny.checkpoint_folder(tmp_path / "stopped") / "metrics.jsonl")[-1]["step"]
    # When it goes on with a line for each step
    train("dpo", world, tmp_path / "stopped", checkpoint_every=1000, log_every=1)
    # Then it goes on from its checkpoint, with the new intervals, to the same weights
    assert tiny.weights(tmp_path / "stopped") == tiny.weights(tmp_path / "whole")
    steps = [line["step"] for line in tiny.lines(tmp_path / "stopped" / "metrics.jsonl")]
    assert steps[-(40 - stopped) - 1 :] == list(range(stopped, 41))


def test_a_run_that_ends_after_its_last_step_does_no_step_twice(world: Path, tmp_path: Path) -> None:
    train("reward", world, tmp_path / "whole")
    # Given a run that cannot write its model, as a file is in the way
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "model").touch()
    with pytest.raises(NotADirectoryError):
        train("reward", world, tmp_path / "late")
    # When the file is gone and it starts again
    (tmp_path / "late" / "model").unlink()
    train("reward", world, tmp_path / "late")
    # Then it does its 40 steps, no more
    assert tiny.weights(tmp_path / "late") == tiny.weights(tmp_path / "whole")
    assert read_jsonl(tmp_path / "late" / "metrics.jsonl")[-1]["step"] == 40
