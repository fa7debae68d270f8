"""`trustdag launch`: what every rule starts its command with."""

import argparse
import sys
from pathlib import Path

HELP = "Run a command as its allocation wants it, and write down how it ended (rules start every command this way)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `trustdag launch`."""
    parser.add_argument("--record", type=Path, required=True, help="file that says how the job's attempts ended")
    parser.add_argument("--log", type=Path, required=True, help="file that takes the command's output")
    parser.add_argument("--attempt", type=int, default=1, help="Snakemake's attempt, from 1")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--cpus", type=int, default=1, help="CPU cores of one node")
    parser.add_argument("--gpu", type=int, default=0, help="GPUs of all nodes together")
    parser.add_argument("--mem-mb", type=int, required=True, help="memory that the job was given on one node")
    parser.add_argument("--runtime", type=int, required=True, help="time limit, in minutes")
    parser.add_argument("--accelerate", default="none", help="file in config/accelerate, without .yaml; none: plain")
    parser.add_argument("--code", default="", help="fingerprint of the code that the command runs, for the record")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- COMMAND ...: a command of trustdag")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command and exits with its exit code."""
    from trustdag.cluster.allocation import Allocation
    from trustdag.cluster.jobs import tail
    from trustdag.cluster.launch import launch

    given = Allocation(
        cpus=arguments.cpus,
        gpu=arguments.gpu,
        mem_mb=arguments.mem_mb,
        runtime=arguments.runtime,
        nodes=arguments.nodes,
        accelerate=arguments.accelerate,
        code=arguments.code,
    )
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    code = launch(arguments.record, arguments.log, arguments.attempt, given, command)
    if code:
        # What a user can mend is said where they look first; the rest is in the log.
        said = [line for line in tail(arguments.log).splitlines() if line.startswith("trustdag: ")]
        print("\n".join([*said[-1:], f"trustdag: exit code {code}; see {arguments.log}"]), file=sys.stderr)
        sys.exit(code)
