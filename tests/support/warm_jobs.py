"""The jobs of a test's study as forks: a job would otherwise spend seconds on importing, and a study has 60.

`warm_python` stands in for Python. It hands its command to the process `serve` and ends as the fork that ran it.
"""

import json
import os
import runpy
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = Path(__file__).with_name("warm_python")


def variables(address: str) -> dict[str, str]:
    """What `warm_python` reads from its environment: the path of the socket, and the Python of this process."""
    return {"TRUSTDAG_TEST_FORKS": address, "TRUSTDAG_TEST_PYTHON": sys.executable}


def serve(address: str) -> None:
    """Starts a fork for each connection. It runs in a process that has imported what jobs import."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(64)
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _handle(connection)
            connection.close()
            _wait_for_ended()


def _wait_for_ended() -> None:
    """Ends the handlers that are done; by waiting for them, their processor time counts as this process's."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _handle(connection: socket.socket) -> None:
    """Runs a command in a fork. Answers with its process id, and at its end with its exit code.

    Kills it if the one who asked is gone.
    """
    _, files, _, _ = socket.recv_fds(connection, 1, 3)
    request = json.loads(connection.makefile("rb").read())
    job = os.fork()
    if job == 0:
        connection.close()
        _become(files, request["folder"], request["environment"])
        _run(request["arguments"])
        sys.exit()
    connection.sendall(f"{job}\n".encode())
    ended = os.pidfd_open(job)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(connection, 0)  # POLLHUP alone, which is always reported
    while not any(descriptor == ended for descriptor, _ in poll.poll()):
        os.kill(job, signal.SIGKILL)
        poll.unregister(connection)
    code = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
    with suppress(BrokenPipeError):
        connection.sendall(str(code if code >= 0 else 128 - code).encode())
    sys.exit()


def _become(files: list[int], folder: str, environment: dict[str, str]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)


def _run(arguments: list[str]) -> None:
    sys.executable = str(PYTHON)
    sys.path[:0] = python_path()
    if not uses_this_tree(arguments):
        forget_package()
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path.insert(0, str(Path(arguments[0]).parent))
        runpy.run_path(arguments[0], run_name="__main__")


def python_path() -> list[str]:
    return [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]


def uses_this_tree(arguments: list[str]) -> bool:
    """Whether a command, Snakemake, or a job of its study uses the package of this tree."""
    workflow = os.environ.get("TRUSTDAG_WORKFLOW")
    if workflow is not None:
        return workflow == str(ROOT / "workflow")
    if "--snakefile" in arguments:
        return str(ROOT / "Snakefile") in arguments
    return str(ROOT / "workflow") in python_path()


def forget_package() -> None:
    """Makes this process import the package anew: a workflow and its jobs use the package of their own tree."""
    for name in [name for name in sys.modules if name.split(".")[0] == "trustdag"]:
        del sys.modules[name]
