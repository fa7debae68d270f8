"""Slurm's commands as the main process calls them, with patience for a Slurm that does not answer.

Snakemake's Slurm executor calls `sbatch`, `squeue` and others once. Where that fails because Slurm is away, it takes
the job for failed, or loses sight of the jobs that it watches. The commands in `slurm/bin`, which stand first in PATH,
come here: a submission waits and tries again, and so does a question about the state of jobs. Run as a script, without
this package on its path: it imports the standard library alone.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

COMMANDS = ("sbatch", "squeue", "sacct", "sacctmgr", "sshare")
PATIENCE = "TRUSTDAG_SLURM_PATIENCE"
"""Seconds for which a submission waits for Slurm."""
PAUSE = "TRUSTDAG_SLURM_PAUSE"
"""Seconds between two tries."""
NOTICES = "TRUSTDAG_SLURM_NOTICES"
"""The file that the user reads: the executor shows what a command says only when it fails."""
PYTHON = "TRUSTDAG_SLURM_PYTHON"
POLL_SECONDS = 40
"""For how long a question about states is tried: the executor drops the answer after 60 seconds and asks again."""
AWAY = re.compile(
    r"Unable to contact|Unable to establish|[Ss]ocket timed out|Zero Bytes were transmitted|command not found"
    r"|Connection (?:refused|reset)|Transport endpoint|connect failure|temporarily (?:unable to accept|unavailable)"
    r"|standby mode|not responding|persist(?:ent)?[_ ]conn|Problem (?:with|talking to) the database"
    r"|accounting storage is disabled|Unexpected message|No route to host|Connection timed out"
    r"|AssocMaxSubmitJobLimit|QOSMaxSubmitJobPerUserLimit"
)
"""What Slurm says when it is away, or takes no more jobs for the moment; other failures stay failures."""


def put_first(folder: Path, seconds: float) -> None:
    """Has this process, and what it starts, call Slurm's commands with patience.

    Args:
        folder: Where the commands are.
        seconds: For how long a submission waits.
    """
    os.environ[PATIENCE] = str(seconds)
    os.environ[PYTHON] = sys.executable
    os.environ[NOTICES] = f"/proc/{os.getpid()}/fd/2"
    os.environ["PATH"] = os.pathsep.join([str(folder), os.environ.get("PATH", os.defpath)])


def main(arguments: Sequence[str]) -> int:
    """Runs one of Slurm's commands and returns its exit code."""
    name, *rest = arguments
    if name == "sbatch":
        return submit(rest)
    if name in ("sacctmgr", "sshare"):
        return list_accounts(name, rest)
    if "--name" in rest and any("State" in argument or "%T" in argument for argument in rest):
        return ask_for_states(name, rest)
    return _answer(_run(name, rest))


def submit(arguments: Sequence[str]) -> int:
    """Submits a job; where Slurm is away, again until it answers or the time is up. Nothing is submitted twice."""
    patience = float(os.environ.get(PATIENCE, "1800"))
    script = "" if sys.stdin.isatty() else sys.stdin.read()
    deadline, told = time.monotonic() + patience, False
    while True:
        done = _run("sbatch", arguments, script)
        if done.returncode == 0 or not AWAY.search(done.stderr):
            break
        if time.monotonic() >= deadline:
            done.stderr += (
                f"sbatch: Slurm did not answer for {patience / 60:.0f} minutes (`patience` of the site's file)\n"
            )
            break
        if not told:
            _tell(f"{_last_line(done.stderr)}; trying again for {patience / 60:.0f} minutes")
            told = True
        _pause(deadline)
        if job := queued(arguments):
            return _answer(subprocess.CompletedProcess([], 0, f"{job}\n", ""))
    if told and done.returncode == 0:
        _tell("Slurm answers again")
    return _answer(done)


def queued(arguments: Sequence[str]) -> str | None:
    """The job that a try has left in the queue though its answer was lost: the executor names and comments each."""
    given = dict(pairwise(arguments))
    name, comment = given.get("--job-name"), given.get("--comment")
    if name is None or comment is None:
        return None
    listed = _run("squeue", ["-h", "-o", "%i|%k", "--name", name])
    for line in listed.stdout.splitlines():
        job, _, text = line.partition("|")
        if text == comment:
            return job
    return None


def ask_for_states(name: str, arguments: Sequence[str]) -> int:
    """The states of a run's jobs, from `squeue`, or from `sacct` and, where that is away, from `squeue`."""
    deadline, told = time.monotonic() + POLL_SECONDS, False
    run = arguments[list(arguments).index("--name") + 1]
    while True:
        done = _run(name, arguments)
        if done.returncode and name == "sacct":
            other = _run("squeue", ["--format=%i|%T", "--states=all", "--noheader", "--name", run])
            done = other if other.returncode == 0 else done
        if done.returncode == 0 or time.monotonic() >= deadline:
            return _answer(done)
        if not told:
            _tell(f"{_last_line(done.stderr)}; the jobs go on, and are watched again as soon as Slurm answers")
            told = True
        _pause(deadline)


def list_accounts(name: str, arguments: Sequence[str]) -> int:
    """What Slurm's accounting says; nothing where it is away: the executor then submits with an unchecked account."""
    done = _run(name, arguments)
    if done.returncode and AWAY.search(done.stderr + done.stdout):
        done = subprocess.CompletedProcess([], 0, "", done.stderr)
    return _answer(done)


def real(name: str) -> str | None:
    """Slurm's own command, if there is one."""
    ours = Path(__file__).resolve().parents[3] / "slurm" / "bin"
    folders = [folder for folder in os.get_exec_path() if Path(folder).resolve() != ours]
    return shutil.which(name, path=os.pathsep.join(folders))


def _run(name: str, arguments: Sequence[str], script: str = "") -> subprocess.CompletedProcess[str]:
    program = real(name)
    if program is None:
        return subprocess.CompletedProcess([], 127, "", f"{name}: command not found\n")
    return subprocess.run([program, *arguments], input=script, capture_output=True, text=True, check=False)


def _answer(done: subprocess.CompletedProcess[str]) -> int:
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


def _pause(deadline: float) -> None:
    time.sleep(max(0.0, min(float(os.environ.get(PAUSE, "15")), deadline - time.monotonic())))


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["Slurm does not answer"])[-1]


def _tell(text: str) -> None:
    notice = f"trustdag: {time.strftime('%H:%M:%S')} {text}\n"
    try:
        with Path(os.environ[NOTICES]).open("a", encoding="utf-8") as handle:
            handle.write(notice)
    except (KeyError, OSError):  # no main process, or one whose standard error cannot be opened, such as a socket
        sys.stderr.write(notice)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
