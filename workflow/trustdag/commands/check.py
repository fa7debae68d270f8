"""`trustdag check`: validate a study and say what it holds."""

import argparse
from pathlib import Path

HELP = "Validate a study's configuration, and say which models it trains and evaluates."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("study", type=Path, help="the study's YAML file")
    parser.add_argument("--data-root", help="what {data_root} stands for in the study's paths")


def run(arguments: argparse.Namespace) -> None:
    """Prints the study's models, one a line, or raises UserError."""
    from trustdag import dag
    from trustdag.config.load import load

    overrides = {"data_root": arguments.data_root} if arguments.data_root else {}
    study = load(arguments.study, **overrides)
    evaluated = {cell.node: cell.recipe for cell in dag.cells(study)}
    for node in dag.closure(study):
        source = "given" if node.preferences is None else study.stages[node.chain[-1]].method
        print(f"{node.id}\t{source}\t{evaluated.get(node, '(not evaluated)')}")
    print(f"{len(evaluated)} models on {len(study.verticals_measured())} verticals: {arguments.study} is valid")
