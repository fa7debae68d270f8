"""`trustdag generate`: a model's replies to a vertical's items."""

import argparse
from pathlib import Path
from typing import get_args

from trustdag.artifacts import model_folder
from trustdag.commands import read_settings
from trustdag.generation.settings import GenerateSettings
from trustdag.models.dialogue import PromptFormat

HELP = "Generate a model's replies to a vertical's items, and likelihoods of options. A killed run continues."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("vertical", help="the vertical's name, for messages")
    parser.add_argument("--items", type=Path, required=True, help="items.parquet")
    parser.add_argument("--model", type=Path, required=True, help="model folder, or folder of the stage that made it")
    parser.add_argument("--settings", default="{}", help="the vertical's `generate` settings: JSON or a YAML file")
    parser.add_argument("--prompt-format", choices=get_args(PromptFormat), default="hh", help="prompt format")
    parser.add_argument("--out", type=Path, required=True, help="replies.parquet")


def run(arguments: argparse.Namespace) -> None:
    """Writes the replies, one row for each sample or option."""
    from trustdag.generation.run import GenerationTask, generate

    settings = read_settings(arguments.settings, GenerateSettings)
    task = GenerationTask(arguments.vertical, arguments.items, settings)
    generate(task, model_folder(arguments.model), arguments.prompt_format, arguments.out)
