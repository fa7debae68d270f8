"""`trustdag convert`: converts a checkpoint that a wrapper wrote to a plain model folder."""

import argparse
from pathlib import Path

HELP = "Write an adapter merged into its base, or a checkpoint with a wrapper's names of weights, as a model folder."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", type=Path, help="adapter of peft, or checkpoint of a wrapped model")
    parser.add_argument("out", type=Path, help="new model folder")
    parser.add_argument("--base", type=Path, help="model folder that an adapter belongs to")


def run(arguments: argparse.Namespace) -> None:
    """Writes the new folder."""
    from trustdag.models.convert import convert
    from trustdag.models.logging_setup import hide_library_messages

    hide_library_messages()
    convert(arguments.folder, arguments.out, arguments.base)
