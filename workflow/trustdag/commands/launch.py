"""`trustdag launch`: what every rule starts its command with."""

import argparse
import sys
from pathlib import Path

from trustdag.jobs import allocation

HELP = "Run a command as its allocation wants it, and write down how it ended (rules start every command this way)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `trustdag launch`."""
    parser.add_argument("--record", type=Path, required=True, help="file that says how the job's attempts ended")
    parser.add_argument("--log", type=Path, required=True, help="file that takes the command's output")
    parser.add_argument("--attempt", type=int, default=1, help="Snakemake's attempt, from 1")
    allocation.add_arguments(parser)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- COMMAND ...: a command of trustdag")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command and exits with its exit code."""
    from trustdag.jobs.launch import launch
    from trustdag.jobs.record import read, tail

    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    code = launch(arguments.record, arguments.log, arguments.attempt, allocation.from_arguments(arguments), command)
    if code:
        # What a user can mend is said where they look first; the rest is in the log.
        said = [line for line in tail(arguments.log).splitlines() if line.startswith("trustdag: ")]
        last = read(arguments.record).failures[-1]
        ending = f"exit code {code}; see {arguments.log}" if last.kind == "error" else last.message
        print("\n".join([*said[-1:], f"trustdag: {ending}"]), file=sys.stderr)
        sys.exit(code)
