"""`trustdag summary`: prints a finished study's answer, or those of all studies."""

import argparse
from pathlib import Path

HELP = "Print a finished study's answer: the headline changes, its cost, its page; or the answers of all studies."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "results",
        type=Path,
        nargs="?",
        default=Path("results"),
        help="the study's results folder, such as results/demo; a folder of several lists them",
    )


def run(arguments: argparse.Namespace) -> None:
    """Prints the table of one study, or the list of all."""
    from trustdag.report.summary import overview, summary

    folder = arguments.results
    is_study = any((folder / name).exists() for name in ("design.json", "report.html"))
    print(summary(folder) if is_study else overview(folder))
