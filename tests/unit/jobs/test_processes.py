"""Which processes and Slurm jobs live, and how they are stopped. Slurm's commands are stand-ins."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from trustdag.jobs import processes
from trustdag.jobs.processes import Process

HERE = socket.gethostname()
Slurm = Callable[[str], Path]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """A cluster whose job is in a state until it is cancelled; gives the file of what was cancelled."""

    def install(state: str) -> Path:
        cancelled = tmp_path / "cancelled"
        scripts = {
            "squeue": f"[ -e {cancelled} ] || echo {state}",
            "scancel": f"echo $1 >> {cancelled}",
        }
        for name, script in scripts.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        return cancelled

    return install


def elsewhere(job: str | None) -> Process:
    return Process(host="node7", pid=1, started="1", slurm_job=job)


@pytest.mark.parametrize(
    ("state", "lives"),
    [
        ("RUNNING", True),
        ("SUSPENDED", True),
        ("COMPLETING", True),  # told to end, and perhaps still writing
        ("PENDING", False),  # requeued: its processes have ended
        ("REQUEUE_HOLD", False),
        ("CONFIGURING", False),
        ("", False),
    ],
)
def test_a_slurm_job_lives_while_it_may_have_processes(state: str, lives: bool, slurm: Slurm) -> None:
    slurm(state)
    assert elsewhere("41").lives() is lives


def test_a_job_may_live_where_slurm_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert elsewhere("41").lives()


def test_our_own_job_on_another_host_is_its_requeued_self(slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm("RUNNING")
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    assert not elsewhere("41").lives()


def test_another_hosts_process_outside_slurm_may_live_and_is_not_waited_for() -> None:
    begin = time.monotonic()
    assert elsewhere(None).lives()
    assert not elsewhere(None).stop(60)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("state", ["RUNNING", "PENDING"])
def test_another_job_is_cancelled_even_if_it_only_waits_to_start_again(state: str, slurm: Slurm) -> None:
    cancelled = slurm(state)
    assert elsewhere("41").stop(10)
    assert cancelled.read_text() == "41\n"


def test_our_own_requeued_job_is_not_cancelled(slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = slurm("RUNNING")
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    assert elsewhere("41").stop(10)
    assert not cancelled.exists()


def test_a_process_of_this_host_is_told_to_end(sleeper: "subprocess.Popen[bytes]") -> None:
    process = Process(host=HERE, pid=sleeper.pid, started=processes.started(sleeper.pid) or "")
    assert process.lives()
    assert process.stop(10)
    assert sleeper.wait(10) == -15


def test_a_reused_process_id_is_left_alone(sleeper: "subprocess.Popen[bytes]") -> None:
    process = Process(host=HERE, pid=sleeper.pid, started="1")
    assert not process.lives()
    assert process.stop(10)
    assert sleeper.poll() is None


def test_the_slurm_job_is_found_in_an_ancestors_environment() -> None:
    code = "from trustdag.jobs.processes import slurm_job; print(slurm_job())"
    inner = [sys.executable, "-c", code]
    script = f"import os, subprocess; del os.environ['SLURM_JOB_ID']; subprocess.run({inner!r})"
    package = Path(processes.__file__).parents[1]
    environment = {**os.environ, "SLURM_JOB_ID": "77", "PYTHONPATH": str(package)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "77"


def test_the_accounting_tells_the_states_and_the_peak_of_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "FAILED|\nFAILED|177.94M\nCANCELLED by 0|360.02M\n"
    (tmp_path / "sacct").write_text(f"#!/bin/sh\nprintf '{lines}'\n")
    (tmp_path / "sacct").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    processes.slurm_ending.cache_clear()
    assert processes.slurm_ending("41") == (("FAILED", "FAILED", "CANCELLED"), 360.02)


def test_without_an_accounting_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    processes.slurm_ending.cache_clear()
    assert processes.slurm_ending("41") == ((), 0.0)
