"""`trustdag compare A B`: the metrics that differ between two studies, and why."""

import argparse
from pathlib import Path

HELP = "Compare two finished studies: each number that moved, and the setting, data, code or software responsible."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("a", type=Path, help="a study's results folder, such as results/demo")
    parser.add_argument("b", type=Path, help="another one")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the comparison as a page")


def run(arguments: argparse.Namespace) -> None:
    """Prints the comparison, or writes it as a page and says where."""
    from trustdag.artifacts import atomic_file
    from trustdag.results.compare import as_html, as_text, compare
    from trustdag.results.study import StudyResults

    a, b = StudyResults(arguments.a), StudyResults(arguments.b)
    comparison, names = compare(a, b), (str(arguments.a), str(arguments.b))
    if arguments.html is None:
        print(as_text(comparison, names))
        return
    notices = list(dict.fromkeys(study.design.notice for study in (a, b) if study.design.notice))
    with atomic_file(arguments.html) as partial:
        partial.write_text(as_html(comparison, names, notices), encoding="utf-8")
    print(arguments.html.resolve().as_uri())
