"""Processes that start at once: they are forked from one that has imported the slow libraries and done nothing else.

Each pytest process has one such server, which serves all of its tests.
"""

import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from tests.support import warm_jobs

ROOT = Path(__file__).parents[2]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.support.preload"])


def start_two(function: Callable[..., None], *arguments: Any) -> list[ForkServerProcess]:
    """Starts `function(*arguments)` in two processes of one training, as `accelerate launch` does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = []
    for rank in range(2):
        environment = common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        processes.append(FORKS.Process(target=_as_rank, args=(environment, function, arguments)))
        processes[-1].start()
    return processes


def _as_rank(environment: dict[str, str], function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ.update(environment)
    function(*arguments)


def run_snakemake(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """What `snakemake ARGUMENTS` does in that environment, started in `folder`. Its jobs are forks too."""
    environment = {**environment, **variables_of_jobs()}
    with tempfile.TemporaryDirectory() as captured:
        process = FORKS.Process(
            target=_snakemake, args=(list(arguments), environment, str(folder or Path.cwd()), captured)
        )
        process.start()
        process.join()
        out, err = (Path(captured, name).read_text(encoding="utf-8") for name in ("out", "err"))
    assert process.exitcode is not None
    return subprocess.CompletedProcess(["snakemake", *arguments], process.exitcode, out, err)


def start_python(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
) -> "subprocess.Popen[str]":
    """Starts what `python ARGUMENTS` starts in that environment and folder: a module by `-m`, or a file."""
    return subprocess.Popen(
        [str(warm_jobs.PYTHON), *arguments],
        cwd=folder,
        env={**environment, **variables_of_jobs()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_python(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """As `start_python`, to its end."""
    with start_python(arguments, environment, folder) as process:
        out, err = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@cache
def variables_of_jobs() -> dict[str, str]:
    """The environment of jobs that are forks. The process that forks them is started once, and ends with this one."""
    address = f"{tempfile.mkdtemp(prefix='trustdag-')}/jobs"
    server = FORKS.Process(target=warm_jobs.serve, args=(address,), daemon=True)
    server.start()
    while not Path(address).exists():
        assert server.is_alive(), "the process that forks jobs has ended"
        time.sleep(0.01)
    return warm_jobs.variables(address)


def _snakemake(arguments: list[str], environment: dict[str, str], folder: str, captured: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(Path(captured, name), os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
    sys.argv = ["snakemake", *arguments]
    sys.executable = str(warm_jobs.PYTHON)
    if str(ROOT / "Snakefile") not in arguments:
        warm_jobs.forget_package()
    from snakemake.cli import main

    main()
