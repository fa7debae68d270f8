"""Retries Slurm's commands for the main process while Slurm does not answer.

Snakemake's Slurm executor calls `sbatch`, `squeue` and others only once. If Slurm is not reachable then, the executor
counts the job as failed, or loses track of running jobs. The commands in `slurm/bin`, which come first in PATH, call
this module: it repeats a submission or a query of job states until Slurm answers. It runs as a script without this
package on its path, so it imports the standard library alone.
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
"""How long a submission waits for Slurm, in seconds."""
PAUSE = "TRUSTDAG_SLURM_PAUSE"
"""Seconds between two tries."""
NOTICES = "TRUSTDAG_SLURM_NOTICES"
"""The file whose lines the user sees. The executor shows the output of a command only if it fails."""
PYTHON = "TRUSTDAG_SLURM_PYTHON"
POLL_SECONDS = 40
"""How long a query of states is repeated, in seconds. The executor drops a query after 60 seconds and repeats it."""
AWAY = re.compile(
    r"Unable to contact|Unable to establish|[Ss]ocket timed out|Zero Bytes were transmitted|command not found"
    r"|Connection (?:refused|reset)|Transport endpoint|connect failure|temporarily (?:unable to accept|unavailable)"
    r"|standby mode|not responding|persist(?:ent)?[_ ]conn|Problem (?:with|talking to) the database"
    r"|accounting storage is disabled|Unexpected message|No route to host|Connection timed out"
    r"|AssocMaxSubmitJobLimit|QOSMaxSubmitJobPerUserLimit"
)
"""Messages of Slurm when it is not reachable or accepts no jobs at the moment. Other failures are not retried."""


def put_first(folder: Path, seconds: float) -> None:
    """Puts the retrying commands first in PATH, for this process and its children.

    Args:
        folder: The folder of the commands.
        seconds: How long a submission waits for Slurm.
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
    """Submits a job. Repeats it while Slurm is not reachable, until the time is up. Never submits a job twice."""
    patience = float(os.environ.get(PATIENCE, "1800"))
    script = "" if sys.stdin.isatty() else sys.stdin.read()
    deadline, announced = time.monotonic() + patience, False
    while True:
        done = _run("sbatch", arguments, script)
        if done.returncode == 0 or not AWAY.search(done.stderr):
            break
        if time.monotonic() >= deadline:
            done.stderr += (
                f"sbatch: Slurm did not answer for {patience / 60:.0f} minutes (`patience` of the site's file)\n"
            )
            break
        if not announced:
            _tell(f"{_last_line(done.stderr)}; trying again for {patience / 60:.0f} minutes")
            announced = True
        _pause(deadline)
        if job := queued(arguments):
            return _answer(subprocess.CompletedProcess([], 0, f"{job}\n", ""))
    if announced and done.returncode == 0:
        _tell("Slurm answers again")
    return _answer(done)


def queued(arguments: Sequence[str]) -> str | None:
    """The job that an earlier try submitted although its answer was lost, found by the executor's name and comment."""
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
    """The states of a run's jobs from `squeue`; or from `sacct`, and from `squeue` if that is not reachable."""
    deadline, announced = time.monotonic() + POLL_SECONDS, False
    run = arguments[list(arguments).index("--name") + 1]
    while True:
        done = _run(name, arguments)
        if done.returncode and name == "sacct":
            other = _run("squeue", ["--format=%i|%T", "--states=all", "--noheader", "--name", run])
            done = other if other.returncode == 0 else done
        if done.returncode == 0 or time.monotonic() >= deadline:
            return _answer(done)
        if not announced:
            _tell(f"{_last_line(done.stderr)}; the jobs go on, and are watched again as soon as Slurm answers")
            announced = True
        _pause(deadline)


def list_accounts(name: str, arguments: Sequence[str]) -> int:
    """The output of Slurm's accounting, or nothing if it is not reachable; the executor then checks no account."""
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
