"""Checkpoints: complete or absent, one writer, signals that ask for one more."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support import tiny_models as tiny
from trustdag.align import methods
from trustdag.errors import UserError
from trustdag.jobs import processes
from trustdag.jobs.processes import Process
from trustdag.jobs.record import Ended, classify
from trustdag.jobs.resumable import EXIT_RESUMABLE
from trustdag.train import checkpoints


def hold(folder: Path, pid: int, host: str | None = None, job: str | None = None) -> None:
    """Writes the lock of another process."""
    folder.mkdir(parents=True, exist_ok=True)
    started = processes.started(pid) or ""
    holder = Process(host=host or socket.gethostname(), pid=pid, started=started, slurm_job=job)
    (folder / checkpoints.LOCK).write_text(holder.as_json())


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


def test_the_newest_checkpoint_is_found_by_number_and_older_ones_are_gone(tmp_path: Path) -> None:
    assert checkpoints.latest(tmp_path) is None
    for step in (2, 10, 9):  # 9 after 10: a run with other settings would be in another folder, so the last one wins
        save(tmp_path, step)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-9"]
    newest = checkpoints.latest(tmp_path)
    assert newest is not None
    assert checkpoints.step_of(newest) == 9


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
        assert json.loads((tmp_path / checkpoints.LOCK).read_text())["pid"] == os.getpid()
    assert not (tmp_path / checkpoints.LOCK).exists()


def test_a_reused_process_id_is_not_the_holder(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    hold(tmp_path, sleeper.pid)
    lock = tmp_path / checkpoints.LOCK
    lock.write_text(json.dumps({**json.loads(lock.read_text()), "started": "1"}))
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
