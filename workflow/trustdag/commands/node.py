"""`trustdag node`: the part of a multi-node job that runs on each node. `trustdag launch` makes Slurm start it."""

import argparse
import sys
from pathlib import Path

from trustdag.jobs import allocation

HELP = "Run this node's part of a command on several nodes (`launch` makes Slurm start it on each)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--address", required=True, help="name of the first node")
    parser.add_argument("--port", type=int, required=True, help="port of the first node")
    parser.add_argument("--held", type=Path, required=True, help="folder to which each node writes its memory")
    allocation.add_arguments(parser)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- COMMAND ...: a command of trustdag")


def run(arguments: argparse.Namespace) -> None:
    """Runs this node's part and exits with its exit code."""
    from trustdag.jobs import nodes

    given = allocation.from_arguments(arguments)
    sys.exit(nodes.run(given, arguments.address, arguments.port, arguments.held, arguments.command[1:]))
