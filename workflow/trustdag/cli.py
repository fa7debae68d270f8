"""`trustdag COMMAND ...`: every stage of the workflow by hand, on files."""

import argparse
import os
import pkgutil
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from trustdag import __version__, commands
from trustdag.artifacts import atomic_file, disk_is_full
from trustdag.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Returns 0, or 2 after an error that the user can mend, whose message alone is printed."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = _parser(argv).parse_args(argv)
    # Nothing of a run leaves the machine: the libraries' usage reports are switched off before they are imported.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        with measured(arguments.benchmark):
            arguments.run(arguments)
    except Exception as error:
        message = user_message(error)
        if message is None:
            raise
        print(f"trustdag: {message}", file=sys.stderr)
        return 2
    return 0


def user_message(error: Exception) -> str | None:
    """What a user is told of an error that they can mend; None for a bug, which keeps its traceback."""
    if isinstance(error, UserError):
        return str(error)
    if disk_is_full(error):
        return f"no room is left on the disk ({error}); make room and run again: what was finished is untouched"
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return None


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trustdag", description=__doc__)
    parser.add_argument("--version", action="version", version=f"trustdag {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    names = [found.name for found in pkgutil.iter_modules(commands.__path__)]
    # Rules start hundreds of commands: only the one that is asked for is imported.
    asked = argv[0].replace("-", "_") if argv else ""
    for name in [asked] if asked in names else names:
        command = import_module(f"{commands.__name__}.{name}")
        subparser = subparsers.add_parser(name.replace("_", "-"), help=command.HELP, description=command.HELP)
        command.add_arguments(subparser)
        subparser.add_argument(
            "--benchmark", type=Path, help="write the run time and peak memory here, as Snakemake would"
        )
        subparser.set_defaults(run=command.run)
    return parser


@contextmanager
def measured(path: Path | None) -> Iterator[None]:
    """Writes seconds and peak memory (MB) of a finished block, in the columns of a Snakemake benchmark.

    Rules whose outputs may come from the cache between studies cannot have a `benchmark:` of Snakemake's own.
    """
    start = time.monotonic()
    yield
    if path is not None and int(os.environ.get("RANK", "0")) == 0:
        kilobytes = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        seconds = time.monotonic() - start
        with atomic_file(path) as partial:
            partial.write_text(f"s\tmax_rss\n{seconds:.3f}\t{kilobytes / 1024:.1f}\n", encoding="utf-8")
