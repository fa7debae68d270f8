"""`trustdag base`: the base model of a chain."""

import argparse
from pathlib import Path
from typing import get_args

from trustdag.commands import add_benchmark, add_tracking, read_settings, refuse_own_model
from trustdag.errors import UserError
from trustdag.models.base import Base, Folder, Scratch
from trustdag.models.dialogue import PromptFormat
from trustdag.train.tracking import Tracking

HELP = "Get a model: from the hub, a local folder or a GGUF file, or train it from scratch on a corpus."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--settings", required=True, help="JSON or the path of a YAML file; `source` says which kind")
    parser.add_argument("--corpus", type=Path, nargs="?", help="corpus.parquet, for a model trained from scratch")
    parser.add_argument("--prompt-format", choices=get_args(PromptFormat), default="hh", help="prompt format")
    add_tracking(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of model/, manifest.json and metrics.jsonl")
    add_benchmark(parser)


def run(arguments: argparse.Namespace) -> None:
    """Writes the model folder, its manifest and its metrics."""
    from trustdag.models.logging_setup import hide_library_messages

    settings = read_settings(arguments.settings, Base).root
    hide_library_messages()
    if isinstance(settings, Scratch):
        if arguments.corpus is None:
            raise UserError("--corpus: a model trained from scratch needs one")
        from trustdag.train import pretrain

        tracking = read_settings(arguments.tracking, Tracking, "--tracking")
        pretrain.make(settings, arguments.corpus, arguments.prompt_format, arguments.out, tracking)
    else:
        from trustdag.models.acquire import acquire

        refuse_own_model(arguments.out, settings.folder if isinstance(settings, Folder) else None)
        acquire(settings, arguments.prompt_format, arguments.out)
