"""Processes that start at once: they are forked from one that has imported the slow libraries and done nothing else.

Each pytest process has one such server, which serves all of its tests.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.support.preload"])


def run_snakemake(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """What `snakemake ARGUMENTS` does in that environment, started in `folder`."""
    with tempfile.TemporaryDirectory() as captured:
        process = FORKS.Process(
            target=_snakemake, args=(list(arguments), dict(environment), str(folder or Path.cwd()), captured)
        )
        process.start()
        process.join()
        out, err = (Path(captured, name).read_text(encoding="utf-8") for name in ("out", "err"))
    assert process.exitcode is not None
    return subprocess.CompletedProcess(["snakemake", *arguments], process.exitcode, out, err)


def _snakemake(arguments: list[str], environment: dict[str, str], folder: str, captured: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(Path(captured, name), os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
    sys.argv = ["snakemake", *arguments]
    if str(ROOT / "Snakefile") not in arguments:  # the workflow is to import the package of its own tree
        for name in [name for name in sys.modules if name.split(".")[0] == "trustdag"]:
            del sys.modules[name]
    from snakemake.cli import main

    main()
