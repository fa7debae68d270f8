"""`trustdag launch`: starts the command of a rule."""

import argparse
import sys
from pathlib import Path

from trustdag.jobs import allocation

HELP = "Run a command with its allocation, and record how it ended (every rule starts its command this way)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--record", type=Path, required=True, help="file for the record of the job's attempts")
    parser.add_argument("--log", type=Path, required=True, help="file for the command's output")
    parser.add_argument("--attempt", type=int, default=1, help="Snakemake's attempt, from 1")
    allocation.add_arguments(parser)
    parser.add_argument("--sources", nargs="*", default=[], help="the user's files that the command reads")
    parser.add_argument("--content", default="{}", help="their digests when the run began, as JSON")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- COMMAND ...: a command of trustdag")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command and exits with its exit code.

    Raises UserError if the job's code or source files are not those of its run's begin, under which Snakemake notes it.
    """
    from trustdag.fingerprint import refuse_edited
    from trustdag.jobs.launch import launch
    from trustdag.jobs.record import read, tail
    from trustdag.layout import code_book_beside
    from trustdag.resources import site
    from trustdag.seals import refuse_edited_sources

    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    granted, shared = allocation.from_arguments(arguments), site.load().jobs_per_gpu
    refuse_edited(arguments.code, code_book_beside(arguments.record))
    refuse_edited_sources(arguments.sources, arguments.content)
    code = launch(arguments.record, arguments.log, arguments.attempt, granted, command, shared)
    if code:
        # The message for the user is printed; the rest is in the log.
        said = [line for line in tail(arguments.log).splitlines() if line.startswith("trustdag: ")]
        last = read(arguments.record).failures[-1]
        ending = f"exit code {code}; see {arguments.log}" if last.kind == "error" else last.message
        print("\n".join([*said[-1:], f"trustdag: {ending}"]), file=sys.stderr)
        sys.exit(code)
    refuse_edited_sources(arguments.sources, arguments.content)
