"""`trustdag ask`: a model's replies to all verticals whose replies are pending, with one load of the model."""

import argparse
import json
from pathlib import Path
from typing import get_args

from trustdag.artifacts import atomic_file, model_folder
from trustdag.commands import read_settings
from trustdag.generate.settings import GenerateSettings
from trustdag.models.dialogue import Format

HELP = "Ask a model all pending verticals in one job; `collect` then takes each vertical's replies out of --staging."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verticals with their settings, the items, the model, its format, and where the replies wait."""
    parser.add_argument("--verticals", required=True, help="each vertical's `generate` settings, by name: JSON")
    parser.add_argument("--items", type=Path, nargs="+", required=True, help="each vertical's VERTICAL.parquet")
    parser.add_argument("--model", type=Path, required=True, help="model folder, or its manifest.json")
    parser.add_argument("--format", choices=get_args(Format), default="hh", help="how the model is asked")
    parser.add_argument(
        "--done", type=Path, nargs="+", required=True, help="marks written at the end; the replies wait beside them"
    )


def run(arguments: argparse.Namespace) -> None:
    """Asks what is not answered yet."""
    from trustdag.generate.run import Question, ask

    items = {path.stem: path for path in arguments.items}
    questions = [
        Question(vertical, items[vertical], read_settings(json.dumps(settings), GenerateSettings))
        for vertical, settings in json.loads(arguments.verticals).items()
    ]
    ask(questions, model_folder(arguments.model), arguments.format, arguments.done[0].parent)
    for mark in arguments.done:
        with atomic_file(mark) as partial:
            partial.touch()
