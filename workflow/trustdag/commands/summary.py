"""`trustdag summary`: prints a finished study's answer."""

import argparse
from pathlib import Path

HELP = "Print a finished study's answer: the headline changes with intervals, its cost, and the path of its page."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("results", type=Path, help="the study's results folder, such as results/demo")


def run(arguments: argparse.Namespace) -> None:
    """Prints the table."""
    from trustdag.report.summary import summary

    print(summary(arguments.results))
