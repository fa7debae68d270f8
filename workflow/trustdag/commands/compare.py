"""`trustdag compare A B`: the metrics that differ between two studies, and why."""

import argparse
from pathlib import Path

HELP = "Compare two finished studies: each number that moved, and the setting, data, code or software responsible."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("a", type=Path, help="a study's results folder, such as results/demo")
    parser.add_argument("b", type=Path, help="another one")


def run(arguments: argparse.Namespace) -> None:
    """Prints the comparison."""
    from trustdag.results.compare import as_text, compare
    from trustdag.results.study import StudyResults

    comparison = compare(StudyResults(arguments.a), StudyResults(arguments.b))
    print(as_text(comparison, (str(arguments.a), str(arguments.b))))
