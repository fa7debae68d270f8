"""metrics.jsonl across restarts, and the guard against runs that diverge."""

import json
import math
from pathlib import Path

import pytest

from trustdag.artifacts import append_jsonl
from trustdag.errors import UserError
from trustdag.jsonfiles import read_jsonl
from trustdag.progress import Progress
from trustdag.train.divergence_guard import DivergenceGuard
from trustdag.train.metrics import MetricsLog


def log_steps(path: Path, *steps: int) -> None:
    for step in steps:
        append_jsonl(path, {"step": step, "split": "train", "loss": 2.0})


def test_a_resumed_run_takes_the_log_of_its_checkpoint(tmp_path: Path) -> None:
    # Given a log whose copy in the checkpoint of step 20 is older, and that a kill or damage has left half a line
    log = MetricsLog(tmp_path, "sft", 100)
    log_steps(tmp_path / "checkpoint-20" / "metrics.jsonl", 10, 20)
    log_steps(log.path, 10, 20, 30)
    with log.path.open("a") as handle:
        handle.write('{"step": 40, "sp')
    # When the run goes on from there
    log.restore(tmp_path / "checkpoint-20", 20)
    log.write(30, "train", {"loss": 1.0})
    # Then no step is logged twice and none is missing
    assert [(line["step"], line["loss"]) for line in read_jsonl(log.path)] == [(10, 2.0), (20, 2.0), (30, 1.0)]


def test_a_fresh_start_drops_everything(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, "sft", 100)
    log_steps(log.path, 10)
    log.restore(None, 0)
    assert read_jsonl(log.path) == []


def test_what_is_not_finite_is_null_in_the_file(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, "sft", 100)
    log.write(1, "train", {"loss": math.nan, "grad_norm": math.inf})
    assert json.loads(log.path.read_text(), parse_constant=pytest.fail)["loss"] is None


def test_progress_says_where_it_is_and_how_long_it_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = MetricsLog(tmp_path, "dpo", 40)
    log.restore(None, 0)
    log.write(10, "train", {"loss": 0.5})
    shown = Progress.parse(capsys.readouterr().err.strip())
    assert shown is not None
    assert (shown.name, shown.done, shown.total, shown.details) == ("dpo train", 10, 40, "loss 0.5")
    assert shown.left.endswith(" s")


def test_the_newest_line_of_a_split(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, "sft", 100)
    assert log.last("validation") is None
    log.write(1, "validation", {"loss": 2.0})
    log.write(2, "validation", {"loss": 1.0})
    log.write(3, "train", {"loss": 0.5})
    assert log.last("validation") == {"step": 2, "split": "validation", "loss": 1.0}


@pytest.mark.parametrize(
    "values",
    [
        {"loss": math.nan},
        {"loss": math.inf},
        {"loss": 1.0, "grad_norm": math.nan},
        {"loss": 15.1, "learning_rate": 0.1},
    ],
)
def test_a_run_that_diverges_is_stopped_and_the_error_says_where(values: dict[str, float], tmp_path: Path) -> None:
    guard = DivergenceGuard("sft", 100, tmp_path / "metrics.jsonl")
    guard.check(10, {"loss": 3.0, "grad_norm": 1.0})
    with pytest.raises(UserError, match=r"sft: .* at step 20 of 100 .* see .*metrics\.jsonl\nlower learning_rate"):
        guard.check(20, values)


def test_ordinary_losses_pass(tmp_path: Path) -> None:
    guard = DivergenceGuard("dpo", 100, tmp_path / "metrics.jsonl")
    for step, loss in enumerate((0.69, 0.2, 4.9)):  # a first loss below 1 counts as 1
        guard.check(step, {"loss": loss, "grad_norm": 100.0})


def test_a_resumed_run_is_held_against_its_first_loss(tmp_path: Path) -> None:
    append_jsonl(tmp_path / "metrics.jsonl", {"step": 1, "split": "train", "loss": 1.0})
    guard = DivergenceGuard("sft", 100, tmp_path / "metrics.jsonl")
    with pytest.raises(UserError, match="limit 5"):
        guard.check(50, {"loss": 6.0})
