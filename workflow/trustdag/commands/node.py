"""`trustdag node`: what `trustdag launch` has Slurm start on each node of a job that has several."""

import argparse
import sys
from pathlib import Path

HELP = "Run this node's part of a command that runs on several nodes (`launch` has Slurm start it on each)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `trustdag node`."""
    parser.add_argument("--address", required=True, help="name of the first node")
    parser.add_argument("--port", type=int, required=True, help="port at which the processes meet there")
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--cpus", type=int, required=True, help="CPU cores of one node")
    parser.add_argument("--gpu", type=int, required=True, help="GPUs of all nodes together")
    parser.add_argument("--mem-mb", type=int, required=True, help="memory of one node")
    parser.add_argument("--runtime", type=int, required=True, help="time limit, in minutes")
    parser.add_argument("--accelerate", required=True, help="file in config/accelerate, without .yaml")
    parser.add_argument("--held", type=Path, required=True, help="folder in which each node notes the memory it holds")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- COMMAND ...: a command of trustdag")


def run(arguments: argparse.Namespace) -> None:
    """Runs this node's part and exits with its exit code."""
    from trustdag.cluster import nodes
    from trustdag.cluster.allocation import Allocation

    given = Allocation(
        cpus=arguments.cpus,
        gpu=arguments.gpu,
        mem_mb=arguments.mem_mb,
        runtime=arguments.runtime,
        nodes=arguments.nodes,
        accelerate=arguments.accelerate,
    )
    sys.exit(nodes.run(given, arguments.address, arguments.port, arguments.held, arguments.command[1:]))
