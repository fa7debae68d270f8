"""Live trackers: what they get, and that none of them stops a training, changes its result or sees a secret.

The trackers are stand-ins: a subclass of accelerate's GeneralTracker, and a package with trackio's functions.
"""

import json
import os
import shutil
import signal
import sys
import threading
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from accelerate.tracking import GeneralTracker

from tests.support import stand_in_trackio
from tests.support import tiny_models as tiny
from tests.support.forks import start_python
from trustdag.errors import UserError
from trustdag.jobs.resumable import EXIT_RESUMABLE
from trustdag.jsonfiles import read_json, read_jsonl
from trustdag.train import tracking
from trustdag.train.metrics import MetricsLog
from trustdag.train.pretrain import make
from trustdag.train.trackers import Line, Trackers, Worker, environment, flat, without_secrets
from trustdag.train.tracking import SentLog, Tracking

ROOT = Path(__file__).parents[3]
SETTINGS = {"batch_size": 8, "max_length": 64, "learning_rate": 0.001, "log_every": 1, "max_steps": 6, "epochs": 9}


class Recorder(GeneralTracker):
    """A tracker that keeps what it gets; `behavior` is called before each line."""

    name = "recorder"
    requires_logging_directory = False

    def __init__(self, behavior: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.behavior = behavior
        self.logged: list[tuple[int | None, dict[str, float]]] = []
        self.ended = False

    @property
    def tracker(self) -> None:
        return None

    def log(self, values: dict[str, float], step: int | None = None, **_options: Any) -> None:
        self.behavior()
        self.logged.append((step, values))

    def finish(self) -> None:
        self.ended = True


def away() -> None:
    raise ConnectionError("the server is away")


def sent_log(folder: Path, key: str = "key") -> SentLog:
    return SentLog(Tracking(folder=str(folder), run="toy/sft"), "recorder", key)


def trackers_of(recorder: Recorder, folder: Path, key: str = "key") -> Trackers:
    return Trackers([Worker("recorder", lambda: recorder, sent_log(folder, key))])


# --- What a tracker gets ---


def test_a_tracker_gets_the_lines_of_the_metrics_under_the_same_names(tmp_path: Path) -> None:
    recorder = Recorder()
    trackers = trackers_of(recorder, tmp_path)
    log = MetricsLog(tmp_path, "sft", 2, trackers)
    log.restore(None, 0)

    log.write(1, "train", {"loss": 2.0, "grad_norm": float("nan")})
    log.append(2, "validation", {"loss": 1.5})
    trackers.close(finished=True)

    assert recorder.logged == [(1, {"train/loss": 2.0}), (2, {"validation/loss": 1.5})]
    assert recorder.ended


def test_a_restarted_training_goes_on_with_the_run_and_repeats_no_line(tmp_path: Path) -> None:
    # Given a training that was interrupted after step 3, with a checkpoint of step 2
    first, second = Recorder(), Recorder()
    trackers = trackers_of(first, tmp_path)
    for step in (1, 2, 3):
        trackers.send(step, "train", {"loss": 1.0 / step})
    trackers.close(finished=False)
    run = sent_log(tmp_path).run
    # When it is restarted from the checkpoint
    again = sent_log(tmp_path)
    trackers = Trackers([Worker("recorder", lambda: second, again)])
    for step in (3, 4):
        trackers.send(step, "train", {"loss": 1.0 / step})
    trackers.close(finished=True)
    # Then the run is the same and has each step once, and the next training begins another
    assert again.run == run
    assert again.resumed
    assert [step for step, _ in first.logged + second.logged] == [1, 2, 3, 4]
    assert not sent_log(tmp_path).resumed


def test_a_tracker_that_was_asked_for_later_gets_the_lines_before_the_checkpoint(tmp_path: Path) -> None:
    before = MetricsLog(tmp_path / "checkpoint-2", "sft", 3)
    before.append(1, "train", {"loss": 3.0})
    before.append(2, "train", {"loss": 2.0})
    recorder = Recorder()
    trackers = trackers_of(recorder, tmp_path)

    MetricsLog(tmp_path, "sft", 3, trackers).restore(tmp_path / "checkpoint-2", 2)
    trackers.close(finished=True)

    assert recorder.logged == [(1, {"train/loss": 3.0}), (2, {"train/loss": 2.0})]


@pytest.mark.parametrize("change", ["another key", "half a file"])
def test_other_settings_or_a_damaged_file_begin_a_new_run(tmp_path: Path, change: str) -> None:
    trackers = trackers_of(Recorder(), tmp_path)
    trackers.send(1, "train", {"loss": 1.0})
    trackers.close(finished=False)
    if change == "half a file":
        sent_log(tmp_path).path.write_text('{"key": "key", "ru', encoding="utf-8")

    assert not sent_log(tmp_path, change if change == "another key" else "key").resumed


# --- A tracker that fails ---


def test_a_tracker_that_fails_is_said_once_and_counted_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder(away)
    trackers = trackers_of(recorder, tmp_path)
    for step in range(1, 6):
        trackers.send(step, "train", {"loss": 1.0})

    trackers.close(finished=True)

    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "tracking: recorder: ConnectionError: the server is away; training goes on, and metrics.jsonl has every line",
        "tracking: recorder: 5 of 5 lines of metrics were not sent; metrics.jsonl has them all",
    ]
    assert recorder.ended


def test_a_tracker_whose_server_is_back_gets_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = iter([away, away])
    recorder = Recorder(lambda: next(answers, lambda: None)())
    trackers = trackers_of(recorder, tmp_path)
    for step in range(1, 6):
        trackers.send(step, "train", {"loss": 1.0})

    trackers.close(finished=True)

    assert [step for step, _ in recorder.logged] == [3, 4, 5]
    assert "2 of 5 lines of metrics were not sent" in capsys.readouterr().err


def test_a_tracker_that_does_not_start_is_tried_three_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tries = []

    def build() -> GeneralTracker:
        tries.append(1)
        raise ConnectionError("no answer")

    trackers = Trackers([Worker("recorder", build, sent_log(tmp_path))])
    for step in range(1, 9):
        trackers.send(step, "train", {"loss": 1.0})
    trackers.close(finished=True)

    assert len(tries) == 3
    assert "8 of 8 lines of metrics were not sent" in capsys.readouterr().err


def test_a_tracker_that_hangs_holds_nobody_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    release = threading.Event()

    def wait() -> None:
        release.wait(60)

    worker = Worker("recorder", lambda: Recorder(wait), sent_log(tmp_path))

    for step in range(1, 4):
        worker.send(Line(step, "train", {"loss": 1.0}))
    worker.ask_to_end()
    worker.end(seconds=0.1, finished=True)

    release.set()
    assert "3 of 3 lines of metrics were not sent" in capsys.readouterr().err


def test_no_secret_is_in_a_message() -> None:
    text = "GET https://user:password@host/run failed for key abcd1234"
    variables = {"WANDB_API_KEY": "abcd1234", "TOKENIZERS_PARALLELISM": "failed"}
    assert without_secrets(text, variables) == "GET https://***@host/run failed for key ***"


# --- Whole stages, with a stand-in for trackio ---


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    tiny.write_data(folder / "data")
    tiny.write_base(folder / "base")
    (folder / "path").mkdir()
    shutil.copyfile(str(stand_in_trackio.__file__), folder / "path" / "trackio.py")
    return folder


def start_stage(world: Path, out: Path, tracked: Path | None, *arguments: str, **variables: str) -> Any:
    """Starts `trustdag align` with the stand-in on Python's path; tracked into a folder, or not at all."""
    section = {"trackers": ["trackio"], "folder": str(tracked), "project": "study", "run": "toy/sft"}
    command = ["-m", "trustdag", "align", *arguments, "--data", str(world / "data")]
    command += ["--out", str(out)] + (["--tracking", json.dumps(section)] if tracked else [])
    path = os.pathsep.join([str(world / "path"), *sys.path])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRACKIO")}
    return start_python(command, {**kept, "PYTHONPATH": path, **variables})


def run_stage(world: Path, out: Path, tracked: Path | None, *arguments: str, **variables: str) -> str:
    """As `start_stage`, to its end; returns what it says."""
    process = start_stage(world, out, tracked, *arguments, **variables)
    said = str(process.communicate(timeout=280)[1])
    assert process.returncode == 0, said
    return said


def sft(world: Path, **changes: Any) -> list[str]:
    return ["sft", "--policy", str(world / "base" / "model"), "--settings", json.dumps(SETTINGS | changes)]


def calls(tracked: Path, kind: str) -> list[dict[str, Any]]:
    return [call for call in read_jsonl(tracked / "trackio" / "calls.jsonl") if call["call"] == kind]


def series(tracked: Path) -> list[tuple[int, str, float]]:
    """The points of the tracker, by line and name."""
    return [
        (call["step"], name, value) for call in calls(tracked, "log") for name, value in sorted(call["values"].items())
    ]


def expected(metrics: Path) -> list[tuple[int, str, float]]:
    """The points of metrics.jsonl, by line and name."""
    return [
        (line["step"], f"{line['split']}/{name}", value)
        for line in read_jsonl(metrics)
        for name, value in sorted(line.items())
        if name not in ("step", "split") and value is not None
    ]


def test_a_tracked_stage_has_the_same_result_and_its_tracker_the_same_series(world: Path, tmp_path: Path) -> None:
    run_stage(world, tmp_path / "plain", None, *sft(world))
    run_stage(world, tmp_path / "sft", tmp_path / "tracking", *sft(world), WANDB_API_KEY="key-of-a-person")

    assert tiny.weights(tmp_path / "sft") == tiny.weights(tmp_path / "plain")
    manifests = [read_json(tmp_path / name / "manifest.json") for name in ("sft", "plain")]
    assert manifests[0]["made_by"] == manifests[1]["made_by"]
    assert series(tmp_path / "tracking") == expected(tmp_path / "sft" / "metrics.jsonl")
    (begun,) = calls(tmp_path / "tracking", "init")
    assert begun["project"] == "study"
    assert begun["name"].startswith("toy-sft-")
    (config,) = calls(tmp_path / "tracking", "config")
    assert config["values"]["learning_rate"] == 0.001
    assert len(calls(tmp_path / "tracking", "finish")) == 1
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not [content for content in written if b"key-of-a-person" in content]


def test_the_reward_model_and_ppo_write_the_same_series(world: Path, tmp_path: Path) -> None:
    base = str(world / "base" / "model")
    reward = {"batch_size": 8, "max_length": 64, "max_steps": 2, "log_every": 1}
    run_stage(world, tmp_path / "reward", tmp_path / "r", "reward", "--policy", base, "--settings", json.dumps(reward))
    ppo = {"batch_size": 4, "minibatches": 2, "updates": 2, "max_new_tokens": 4, "max_length": 64, "log_every": 1}
    arguments = ["ppo", "--policy", base, "--reward", str(tmp_path / "reward" / "model"), "--settings", json.dumps(ppo)]
    run_stage(world, tmp_path / "ppo", tmp_path / "p", *arguments)

    for name, folder in (("reward", "r"), ("ppo", "p")):
        assert series(tmp_path / folder) == expected(tmp_path / name / "metrics.jsonl")
    assert {"train/reward", "train/kl"} <= {name for _, name, _ in series(tmp_path / "p")}


def test_training_from_scratch_writes_the_same_series(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(world / "path"))
    (tmp_path / "trackio").mkdir()
    for name, value in environment("trackio", tmp_path / "trackio").items():
        monkeypatch.setenv(name, value)
    asked = Tracking(trackers=["trackio"], folder=str(tmp_path), project="study", run="tiny/base")

    make(tiny.scratch(steps=10), world / "data" / "corpus.parquet", "hh", tmp_path / "base", asked)

    assert series(tmp_path) == expected(tmp_path / "base" / "metrics.jsonl")


def test_a_stage_that_is_stopped_goes_on_with_its_run(world: Path, tmp_path: Path) -> None:
    arguments = sft(world, max_steps=40, checkpoint_every=5)
    process = start_stage(world, tmp_path / "sft", tmp_path / "tracking", *arguments)
    while process.poll() is None and not tiny.has_logged(tmp_path / "sft", 7):
        threading.Event().wait(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=280)
    assert process.returncode == EXIT_RESUMABLE

    run_stage(world, tmp_path / "sft", tmp_path / "tracking", *arguments)

    first, second = calls(tmp_path / "tracking", "init")
    assert (first["name"], second["resume"]) == (second["name"], "allow")
    assert [(step, name) for step, name, _ in series(tmp_path / "tracking")] == [
        (step, name) for step, name, _ in expected(tmp_path / "sft" / "metrics.jsonl")
    ]


def test_a_stage_whose_tracker_fails_ends_well_and_says_so_without_the_key(world: Path, tmp_path: Path) -> None:
    fails = {"STAND_IN_FAILS": "1", "TRACKER_API_KEY": "key-of-a-person"}

    said = run_stage(world, tmp_path / "sft", tmp_path / "tracking", *sft(world), **fails)

    lines = [line for line in said.splitlines() if line.startswith("tracking:")]
    assert len(lines) == 2
    assert "ConnectionError: https://***@tracker.example is away; key ***; training goes on" in lines[0]
    assert "7 of 7 lines of metrics were not sent" in lines[1]
    assert "key-of-a-person" not in said


# --- Which trackers ---


def test_a_tracker_that_is_not_installed_is_refused_with_the_command() -> None:
    if find_spec("wandb"):
        pytest.skip("wandb is installed")
    with pytest.raises(UserError, match=r"a.yaml: tracking: wandb: not installed; `pip install wandb==[\d.]+`$"):
        tracking.check(["wandb"], "a.yaml: tracking")


def test_environments_of_the_workflow_have_no_trackers() -> None:
    with pytest.raises(UserError, match="--sdm"):
        tracking.check(["trackio"], "a.yaml: tracking", own_environments=True)
    tracking.check([], "a.yaml: tracking", own_environments=True)


def test_the_extra_of_the_package_is_what_messages_say() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    said = [package for packages in tracking.REQUIREMENTS.values() for package in packages.split()]
    assert project["optional-dependencies"]["tracking"] == said


@pytest.mark.parametrize("name", list(tracking.REQUIREMENTS))
def test_no_tracker_writes_outside_of_its_folder_or_reports_its_use(name: str, tmp_path: Path) -> None:
    variables = environment(name, tmp_path)
    assert all(str(tmp_path) in value for variable, value in variables.items() if variable.endswith(("DIR", "URI")))
    assert {"mlflow": "MLFLOW_DISABLE_TELEMETRY", "wandb": "WANDB_ERROR_REPORTING"}.get(name, "") in {"", *variables}


def test_settings_are_flat_names() -> None:
    assert flat({"lora": {"rank": 8}, "betas": [0.9, 0.99], "max_steps": None, "epochs": 1}) == {
        "lora.rank": 8,
        "betas": "[0.9, 0.99]",
        "epochs": 1,
    }
