"""Slurm's commands with patience: what the executor sees while Slurm, for which there are stand-ins, is away."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from trustdag.jobs import patience

OURS = Path(__file__).parents[3] / "slurm" / "bin"
AWAY = "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)"
ACCOUNTING_AWAY = "sacct: error: slurm_persist_conn_open_without_init: failed to open persistent connection to host"
SUBMISSION = ("sbatch", "--parsable", "--job-name", "run-1", "--comment", "rule_score_wildcards_a_b", "--wrap=true")
STATES_OF_SACCT = ("sacct", "-X", "--parsable2", "--noheader", "--format=JobIdRaw,State", "--name", "run-1")
STATES_OF_SQUEUE = ("squeue", "--format=%i|%T", "--states=all", "--noheader", "--name", "run-1")
Call = Callable[..., subprocess.CompletedProcess[str]]


class Slurm:
    """Stand-ins for Slurm's commands: each answers its calls one after the other, and repeats the last answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def answers(self, name: str, *answers: tuple[int, str]) -> None:
        """Sets what a command answers: exit codes, with what it prints (on standard error where it fails)."""
        for number, (code, text) in enumerate(answers):
            (self.folder / f"{name}.{number}.text").write_text(text + "\n" if text else "")
            (self.folder / f"{name}.{number}.code").write_text(str(code))
        script = f"""#!/bin/sh
cd {self.folder}
n=$(wc -l < {name}.calls); last={len(answers) - 1}
echo "$*" >> {name}.calls; cat > {name}.stdin
[ "$n" -gt "$last" ] && n=$last
code=$(cat {name}.$n.code)
if [ "$code" = 0 ]; then cat {name}.$n.text; else cat {name}.$n.text >&2; fi
exit "$code"
"""
        (self.folder / f"{name}.calls").write_text("")
        (self.folder / name).write_text(script)
        (self.folder / name).chmod(0o755)

    def calls(self, name: str) -> list[str]:
        """The arguments of each call of a command."""
        return (self.folder / f"{name}.calls").read_text().splitlines()

    def notices(self) -> str:
        """The messages to the user."""
        path = self.folder / "notices"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    return Slurm(tmp_path)


@pytest.fixture
def call(slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls a command as the executor does after the workflow has put ours first."""
    tools = tmp_path / "tools"  # and none of Slurm's own commands, which may be installed here
    tools.mkdir()
    for name in ("sh", "cat", "wc", "dirname", "basename", "readlink"):
        (tools / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", f"{slurm.folder}:{tools}")
    for name in (patience.PATIENCE, patience.PYTHON, patience.NOTICES):
        monkeypatch.setenv(name, "")
    patience.put_first(OURS, seconds=5)
    monkeypatch.setenv(patience.PAUSE, "0.1")
    monkeypatch.setenv(patience.NOTICES, str(slurm.folder / "notices"))

    def run(*command: str, script: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, input=script, capture_output=True, text=True, check=False, timeout=60)

    return run


def test_every_command_that_the_executor_calls_for_a_job_is_ours() -> None:
    assert {path.name for path in OURS.iterdir() if path.is_symlink()} == set(patience.COMMANDS)
    assert all(os.access(path, os.X_OK) for path in OURS.iterdir())


def test_a_submission_waits_until_slurm_answers(slurm: Slurm, call: Call) -> None:
    slurm.answers("sbatch", (1, AWAY), (1, AWAY), (0, "42"))
    slurm.answers("squeue", (1, "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"))
    done = call(*SUBMISSION, script="#!/bin/sh\ntrue\n")
    assert (done.returncode, done.stdout) == (0, "42\n")
    assert len(slurm.calls("sbatch")) == 3
    assert (slurm.folder / "sbatch.stdin").read_text() == "#!/bin/sh\ntrue\n"
    assert "Unable to contact slurm controller" in slurm.notices()
    assert "Slurm answers again" in slurm.notices()


def test_a_submission_gives_up_after_the_time_that_the_site_states(
    slurm: Slurm, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(patience.PATIENCE, "0.5")
    slurm.answers("sbatch", (1, AWAY))
    slurm.answers("squeue", (0, ""))
    done = call(*SUBMISSION)
    assert done.returncode == 1
    assert "did not answer" in done.stderr
    assert len(slurm.calls("sbatch")) > 1


@pytest.mark.parametrize(
    "text",
    [
        "sbatch: error: invalid partition specified: nowhere",
        "sbatch: error: Batch job submission failed: Requested node configuration is not available",
        "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
    ],
)
def test_a_submission_that_slurm_refuses_is_not_tried_again(text: str, slurm: Slurm, call: Call) -> None:
    slurm.answers("sbatch", (1, text))
    done = call(*SUBMISSION)
    assert (done.returncode, done.stderr) == (1, text + "\n")
    assert len(slurm.calls("sbatch")) == 1


def test_a_job_whose_answer_was_lost_is_not_submitted_twice(slurm: Slurm, call: Call) -> None:
    slurm.answers("sbatch", (1, "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"))
    slurm.answers("squeue", (0, "41|rule_score_wildcards_c\n43|rule_score_wildcards_a_b"))
    done = call(*SUBMISSION)
    assert (done.returncode, done.stdout) == (0, "43\n")
    assert len(slurm.calls("sbatch")) == 1


def test_a_question_about_states_waits_for_slurm(slurm: Slurm, call: Call) -> None:
    slurm.answers("squeue", (1, "slurm_load_jobs error: Unable to contact slurm controller"), (0, "42|RUNNING"))
    done = call(*STATES_OF_SQUEUE)
    assert (done.returncode, done.stdout) == (0, "42|RUNNING\n")
    assert "watched again as soon as Slurm answers" in slurm.notices()


@pytest.mark.parametrize("installed", [True, False])
def test_without_accounting_the_queue_tells_the_states(installed: bool, slurm: Slurm, call: Call) -> None:
    if installed:
        slurm.answers("sacct", (1, ACCOUNTING_AWAY))
    slurm.answers("squeue", (0, "42|CANCELLED"))
    done = call(*STATES_OF_SACCT)
    assert (done.returncode, done.stdout) == (0, "42|CANCELLED\n")
    assert slurm.calls("squeue") == ["--format=%i|%T --states=all --noheader --name run-1"]


@pytest.mark.parametrize("name", ["sacctmgr", "sshare"])
def test_without_accounting_accounts_are_not_checked(name: str, slurm: Slurm, call: Call) -> None:
    slurm.answers(name, (1, f"{name}: error: Problem talking to the database: Connection refused"))
    done = call(name, "-n", "list")
    assert (done.returncode, done.stdout) == (0, "")


def test_other_questions_are_passed_on(slurm: Slurm, call: Call) -> None:
    slurm.answers("squeue", (1, "slurm_load_jobs error: Invalid job id specified"))
    slurm.answers("sacct", (0, "research"))
    assert call("squeue", "-h", "-j", "7").returncode == 1
    assert call("sacct", "-nu", "somebody", "-o", "Account").stdout == "research\n"
    assert slurm.calls("squeue") == ["-h -j 7"]
