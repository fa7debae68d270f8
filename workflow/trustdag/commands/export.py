"""`trustdag export RESULTS --to FORMAT`: a study for a paper, a table tool, the Hugging Face hub or a tracker."""

import argparse
from pathlib import Path

from trustdag.results import exports

HELP = "Export a finished study: tables and figures for LaTeX, CSV files, model cards, or runs of a tracker."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("results", type=Path, help="the study's results folder, such as results/demo")
    parser.add_argument("--to", required=True, choices=exports.names(), help="the format")
    parser.add_argument("--out", type=Path, help="the folder to write; default: RESULTS/exports/FORMAT")


def run(arguments: argparse.Namespace) -> None:
    """Writes the files and names them."""
    from trustdag.results.study import StudyResults

    out = arguments.out or exports.default_folder(arguments.results, arguments.to)
    files = exports.export(StudyResults(arguments.results), arguments.to, out)
    print("\n".join(map(str, files)) or f"{arguments.to}: sent to its server")
