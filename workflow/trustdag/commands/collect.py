"""`trustdag collect`: one vertical's replies out of what `trustdag ask` answered."""

import argparse
from pathlib import Path
from typing import get_args

from trustdag.artifacts import model_folder
from trustdag.commands import read_settings
from trustdag.generate.settings import GenerateSettings
from trustdag.models.dialogue import Format

HELP = "Put the replies that `trustdag ask` left in --staging in their place."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `ask` was given for this vertical, and the output file."""
    parser.add_argument("vertical", help="the vertical's name")
    parser.add_argument("--items", type=Path, required=True, help="items.parquet")
    parser.add_argument("--model", type=Path, required=True, help="model folder, or its manifest.json")
    parser.add_argument("--settings", default="{}", help="the vertical's `generate` settings: JSON or a YAML file")
    parser.add_argument("--format", choices=get_args(Format), default="hh", help="how the model was asked")
    parser.add_argument("--staging", type=Path, required=True, help="folder in which the replies wait")
    parser.add_argument("--out", type=Path, required=True, help="replies.parquet")


def run(arguments: argparse.Namespace) -> None:
    """Links the replies to their place."""
    from trustdag.generate.run import Question, collect

    settings = read_settings(arguments.settings, GenerateSettings)
    question = Question(arguments.vertical, arguments.items, settings)
    collect(question, model_folder(arguments.model), arguments.format, arguments.staging, arguments.out)
