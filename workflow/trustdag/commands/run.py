"""`trustdag run`: runs a study in any folder with the workflow of the package."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from trustdag.errors import UserError, did_you_mean
from trustdag.fingerprint import ROOT
from trustdag.pending.dryrun import search_path, with_our_profile

HELP = "Run a study in this folder: `snakemake` with the workflow of the package, and any option of `snakemake`."
SUFFIXES = (".yaml", ".yml")
CORES = ("--cores", "-c", "--jobs", "-j", "--profile", "--executor", "-e")
"""Options of Snakemake for the number of parallel jobs."""
DISPLAY = ("--logger", "--quiet", "-q", "--verbose")
"""Options of Snakemake for its output."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "study",
        metavar="STUDY",
        help="the study's YAML file, or a shipped one: demo, smoke; more files change its keys",
    )
    rest = parser.add_argument(
        "snakemake", nargs=argparse.REMAINDER, help="options and targets of snakemake, such as -n"
    )
    rest.required = False  # so that an error about a missing study does not name it


def run(arguments: argparse.Namespace) -> None:
    """Runs Snakemake and exits with its exit code. Raises UserError for a study that cannot be read."""
    from trustdag.config.load import refuse_templates

    rest = list(arguments.snakemake)
    paths = [study_file(arguments.study)]
    while rest and rest[0].endswith(SUFFIXES) and Path(rest[0]).is_file():
        paths.append(Path(rest.pop(0)))
    refuse_templates(paths)
    sys.exit(start(paths, rest))


def study_file(name: str) -> Path:
    """The file of a study: a path, or the name of a shipped one. Raises UserError if there is neither."""
    if Path(name).is_file():
        return Path(name)
    shipped = {path.stem: path for path in sorted((ROOT / "config").glob("*.yaml"))}
    if name in shipped:
        return shipped[name]
    known = [*shipped, *(path.name for path in Path().iterdir() if path.suffix in SUFFIXES)]
    near = did_you_mean(name, known) or "; `trustdag init` writes one"
    raise UserError(f"{name}: no such file, and no shipped study{near}")


def start(paths: Sequence[Path], options: Sequence[str]) -> int:
    """Snakemake's exit code, for a study in these files, in the working directory.

    Args:
        paths: The study's files.
        options: Further options and targets of Snakemake. The defaults are all cores and the logger `trustdag`.
    """
    # `--logger` and `--configfile` take all words up to the next option, and so would take targets.
    chosen = [] if _given(options, DISPLAY) else ["--logger", "trustdag"]
    chosen += [] if _given(options, CORES) else ["--cores", "all"]
    chosen += [] if _given(options, ("--directory", "-d")) else ["--directory", "."]
    chosen += ["--snakefile", str(ROOT / "Snakefile")]
    command = [
        sys.executable,
        "-m",
        "snakemake",
        *chosen,
        *with_our_profile(options),
        "--configfile",
        *map(str, paths),
    ]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": search_path()}) as process:
        return _waited(process)


def _waited(process: "subprocess.Popen[bytes]") -> int:
    """The exit code of Snakemake, which ends its jobs itself when it is asked to end.

    Ctrl-C reaches it too. What is sent to this process alone is passed on.
    """
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue
    finally:
        signal.signal(signal.SIGTERM, before)


def _given(options: Sequence[str], names: Sequence[str]) -> bool:
    """Whether one of these options is given: `--cores 2`, `--cores=2`, `-c 2` or `-c2`."""
    long = [option.split("=")[0] for option in options if option.startswith("--")]
    short = [option[:2] for option in options if not option.startswith("--")]
    return not set(names).isdisjoint([*long, *short])
