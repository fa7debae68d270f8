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
    evaluated = {each.model: each.recipe for each in dag.evaluated_models(study)}
    for model_id in dag.models_needed(study):
        source = study.stages[model_id.chain[-1]].method if model_id.is_trained else "external"
        print(f"{model_id}\t{source}\t{evaluated.get(model_id, '(not evaluated)')}")
    print(f"{len(evaluated)} models on {len(study.verticals_measured())} verticals: {arguments.study} is valid")
