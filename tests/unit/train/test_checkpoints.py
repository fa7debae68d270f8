"""Checkpoints: complete or absent, one writer, signals that ask for one more."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import tiny_models as tiny
from trustdag.align import methods
from trustdag.artifacts import append_jsonl
from trustdag.errors import UserError
from trustdag.jobs import processes
from trustdag.jobs.processes import Process
from trustdag.jobs.record import Ended, classify
from trustdag.jobs.resumable import EXIT_RESUMABLE
from trustdag.jsonfiles import read_jsonl
from trustdag.train import checkpoints
from trustdag.train.metrics import MetricsLog


def hold(folder: Path, pid: int, host: str | None = None, job: str | None = None) -> None:
    """Writes the lock of another process."""
    folder.mkdir(parents=True, exist_ok=True)
    started = processes.started(pid) or ""
    holder = Process(host=host or socket.gethostname(), pid=pid, started=started, slurm_job=job)
    (folder / checkpoints.LOCK).write_text(checkpoints.lock_text(holder))


def save(folder: Path, step: int) -> None:
    with checkpoints.writing(folder, step) as partial:
        (partial / "weights").write_text(str(step))


def fake_squeue(folder: Path, monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    """A `squeue` that prints `output`."""
    folder.mkdir()
    (folder / "squeue").write_text(f"#!/bin/sh\nprintf '%s' '{output}'\n")
    (folder / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


# --- Where ---


def test_the_newest_checkpoint_is_found_by_number_and_the_one_before_it_is_kept(tmp_path: Path) -> None:
    assert checkpoints.latest(tmp_path) is None
    for step in (2, 9, 10):
        save(tmp_path, step)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-9", "checkpoint-10"}
    newest = checkpoints.latest(tmp_path)
    assert newest is not None
    assert checkpoints.step_of(newest) == 10


def test_while_a_checkpoint_is_written_one_other_takes_room(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path, step)
    with checkpoints.writing(tmp_path, 3):
        assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-2"]


DAMAGES: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: path.write_bytes(b""),
    "halved": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "flipped": lambda path: path.write_bytes(flipped(path.read_bytes())),
    "removed": lambda path: path.unlink(),
}


def flipped(content: bytes) -> bytes:
    """One bit of the byte in the middle is another."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["weights", "metrics.jsonl", "digests.json"])
def test_a_damaged_checkpoint_is_set_aside_with_a_sentence_and_the_one_before_it_is_used(
    name: str, damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given two checkpoints, each with the log so far
    for step in (1, 2):
        append_jsonl(tmp_path / "metrics.jsonl", {"step": step, "split": "train"})
        save(tmp_path, step)
    # When a file of the newest is damaged
    DAMAGES[damage](tmp_path / "checkpoint-2" / name)
    # Then the one before it is taken, and the sentence names the file that is not as it was
    assert checkpoints.latest(tmp_path) == tmp_path / "checkpoint-1"
    said = capsys.readouterr().err
    assert "checkpoint-2 is damaged (" in said
    assert said.count("\n") == 1
    assert name in said or (name == "digests.json" and damage == "flipped")
    assert (tmp_path / "damaged-checkpoint-2").is_dir()
    # And the log of that one is what the run goes on with
    log = MetricsLog(tmp_path, "sft", 9)
    log.restore(tmp_path / "checkpoint-1", 1)
    assert [record["step"] for record in read_jsonl(log.path)] == [1]


def test_without_a_whole_checkpoint_training_begins_anew(tmp_path: Path) -> None:
    save(tmp_path, 1)
    (tmp_path / "checkpoint-1" / "weights").unlink()
    (tmp_path / "checkpoint-99").mkdir()
    for name in ("checkpoint-x", "checkpoint-"):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint-7").touch()
    assert checkpoints.latest(tmp_path) is None
    save(tmp_path, 7)
    assert checkpoints.latest(tmp_path) == tmp_path / "checkpoint-7"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_lock_of_a_dead_process_holds_nobody_up(damage: str, tmp_path: Path) -> None:
    hold(tmp_path, 1, host="gone")
    DAMAGES[damage](tmp_path / checkpoints.LOCK)
    with checkpoints.exclusive(tmp_path):
        pass


def test_half_written_outputs_of_killed_runs_go_when_the_stage_starts_again(tmp_path: Path) -> None:
    for name in (".model.node7.12.partial", ".model.node8.13.partial"):
        (tmp_path / name).mkdir()
    (tmp_path / ".manifest.json.node7.12.partial").touch()
    with checkpoints.exclusive(checkpoints.folder_of(tmp_path, "0123456789abcdef")):
        assert [path.name for path in tmp_path.iterdir()] == [".checkpoints"]


def test_half_written_outputs_stay_while_another_process_trains_the_stage(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    (tmp_path / ".model.node7.12.partial").mkdir()
    hold(checkpoints.folder_of(tmp_path, "other"), sleeper.pid)
    with checkpoints.exclusive(checkpoints.folder_of(tmp_path, "ours")):
        assert (tmp_path / ".model.node7.12.partial").is_dir()


def test_a_failure_while_writing_leaves_the_previous_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, 1)
    with pytest.raises(FileNotFoundError), checkpoints.writing(tmp_path, 2) as partial:
        (partial / "missing" / "weights").write_text("half")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]


def test_what_a_kill_left_half_written_is_no_checkpoint_and_is_cleared(tmp_path: Path) -> None:
    checkpoints.partial_folder(tmp_path).mkdir()
    (checkpoints.partial_folder(tmp_path) / "checkpoint-5").mkdir()
    assert checkpoints.latest(tmp_path) is None
    with checkpoints.exclusive(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [checkpoints.LOCK]


def test_removing_takes_abandoned_neighbours_but_not_held_ones(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    for name in ("ours", "abandoned"):
        save(tmp_path / ".checkpoints" / name, 1)
    hold(tmp_path / ".checkpoints" / "held", sleeper.pid)
    checkpoints.remove(tmp_path / ".checkpoints" / "ours")
    assert [path.name for path in (tmp_path / ".checkpoints").iterdir()] == ["held"]


def test_nothing_is_left_when_nobody_else_trains(tmp_path: Path) -> None:
    save(tmp_path / ".checkpoints" / "ours", 1)
    checkpoints.remove(tmp_path / ".checkpoints" / "ours")
    assert not (tmp_path / ".checkpoints").exists()


def test_settings_that_change_no_weight_lead_to_the_same_checkpoints(tmp_path: Path) -> None:
    tiny.write_data(tmp_path / "data")
    stage = tiny.stage("sft", tiny.write_base(tmp_path / "base"), tmp_path / "data", tmp_path / "sft")
    settings = methods()["sft"].Settings
    same = {stage.checkpoints(settings(checkpoint_every=number, log_every=number)) for number in (1, 2)}
    other = stage.checkpoints(settings(learning_rate=1e-3))
    assert len(same) == 1
    assert other not in same


# --- One writer ---


def test_a_living_holder_on_this_host_is_refused(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    hold(tmp_path, sleeper.pid, job="12")
    expected = rf"lock\.json: process {sleeper.pid} on .*, Slurm job 12 is training this stage"
    with pytest.raises(UserError, match=expected), checkpoints.exclusive(tmp_path):
        pass
    assert (tmp_path / checkpoints.LOCK).is_file()  # theirs is left alone


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    hold(tmp_path, sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    with checkpoints.exclusive(tmp_path):
        assert (tmp_path / checkpoints.LOCK).read_text() == checkpoints.lock_text(Process.ours())
    assert not (tmp_path / checkpoints.LOCK).exists()


def test_a_reused_process_id_is_not_the_holder(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    hold(tmp_path, sleeper.pid)
    earlier = Process(host=socket.gethostname(), pid=sleeper.pid, started="1")
    (tmp_path / checkpoints.LOCK).write_text(checkpoints.lock_text(earlier))
    with checkpoints.exclusive(tmp_path):
        pass


def test_an_empty_lock_is_of_a_writer_killed_in_the_act(tmp_path: Path) -> None:
    (tmp_path / checkpoints.LOCK).touch()
    with checkpoints.exclusive(tmp_path):
        pass


def test_a_slurm_job_on_another_host_that_runs_holds_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_squeue(tmp_path / "bin", monkeypatch, "RUNNING")
    hold(tmp_path / "checkpoints", 1, host="node7", job="41")
    with pytest.raises(UserError, match="Slurm job 41 is training"), checkpoints.exclusive(tmp_path / "checkpoints"):
        pass


@pytest.mark.parametrize("state", ["", "PENDING"])
def test_a_slurm_job_that_is_gone_or_waits_in_the_queue_holds_nothing(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_squeue(tmp_path / "bin", monkeypatch, state)
    hold(tmp_path / "checkpoints", 1, host="node7", job="41")
    with checkpoints.exclusive(tmp_path / "checkpoints"):
        pass


def test_our_own_requeued_job_is_not_another_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_squeue(tmp_path / "bin", monkeypatch, "RUNNING")
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    hold(tmp_path / "checkpoints", 1, host="node7", job="41")
    with checkpoints.exclusive(tmp_path / "checkpoints"):
        pass


def test_an_unknown_process_on_another_host_may_live(tmp_path: Path) -> None:
    hold(tmp_path, 1, host="elsewhere")
    with pytest.raises(UserError, match="remove the file"), checkpoints.exclusive(tmp_path):
        pass


def test_only_the_first_process_of_a_launch_holds_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with checkpoints.exclusive(tmp_path):
        assert not (tmp_path / checkpoints.LOCK).exists()


# --- Signals ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_asks_to_stop_and_is_reported(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(number)
    with checkpoints.stop_on_signals() as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop
        with pytest.raises(SystemExit) as left:
            stop.leave(12)
    assert left.value.code == EXIT_RESUMABLE == 75
    said = capsys.readouterr().err
    assert f"{number.name}: saved a checkpoint at step 12" in said
    # And the launcher reads that line, also where the exit code is another one
    ended = Ended(returncode=1, warned=False, terminated=False, seconds=1, peak_mb=1, tail=said)
    assert classify(ended, mem_mb=1000, runtime=10) == "interrupted"
    assert signal.getsignal(number) == before


def test_a_training_whose_launcher_was_killed_is_waited_for(tmp_path: Path) -> None:
    # Given a process that holds the lock, whose parent is gone, and that ends a second later
    script = tmp_path / "holder.py"
    script.write_text(
        "import sys, time; from pathlib import Path; from trustdag.train import checkpoints\n"
        "with checkpoints.exclusive(Path(sys.argv[1])):\n    Path(sys.argv[2]).touch(); time.sleep(1)\n"
    )
    held = tmp_path / "held"
    shell = f"{sys.executable} {script} {tmp_path / 'stage'} {held} & sleep 0.1"
    subprocess.run(["setsid", "bash", "-c", shell], check=True)
    deadline = time.monotonic() + 60
    while not held.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)

    # When the stage starts again, then it waits and goes on
    with checkpoints.exclusive(tmp_path / "stage"):
        assert (tmp_path / "stage" / checkpoints.LOCK).is_file()
