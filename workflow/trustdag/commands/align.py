"""`trustdag align METHOD`: one stage of a recipe."""

import argparse
import inspect
from pathlib import Path
from typing import get_args

from trustdag.align import methods
from trustdag.artifacts import model_folder
from trustdag.commands import add_benchmark, add_tracking, read_settings, refuse_own_model, seed, settings_help
from trustdag.errors import UserError
from trustdag.models.dialogue import PromptFormat
from trustdag.train.stage import Stage
from trustdag.train.tracking import Tracking

HELP = "Train one stage of a recipe: sft, reward, dpo, ppo. A killed run continues from its last checkpoint."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds a subcommand for each method. Its help lists the method's settings."""
    subparsers = parser.add_subparsers(dest="method", metavar="METHOD", required=True)
    for name, module in sorted(methods().items()):
        description = inspect.getdoc(module) or ""
        method = subparsers.add_parser(
            name,
            help=description.split("\n")[0],
            description=description,
            epilog=settings_help(module.Settings),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        _add_stage(method)
        add_benchmark(method)


def _add_stage(parser: argparse.ArgumentParser) -> None:
    """Models, data, settings, seed, format and output folder."""
    parser.add_argument(
        "--policy", type=Path, required=True, help="model folder that the stage starts from, or its manifest.json"
    )
    parser.add_argument(
        "--reward", type=Path, nargs="?", help="folder or manifest.json of the reward model, for methods that need one"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of train.parquet and validation.parquet")
    parser.add_argument(
        "--settings", default="{}", help="JSON, such as '{\"epochs\": 2}', or the path of a YAML file; keys: see below"
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed of data order, initialization and sampling")
    parser.add_argument(
        "--prompt-format", choices=get_args(PromptFormat), default="hh", help="how messages become text"
    )
    add_tracking(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of model/, manifest.json and metrics.jsonl")


def run(arguments: argparse.Namespace) -> None:
    """Trains the stage."""
    method = methods()[arguments.method]
    settings = read_settings(arguments.settings, method.Settings)
    if "reward" in method.REQUIRES and arguments.reward is None:
        raise UserError(f"--reward: {arguments.method} needs a reward model's folder")
    policy = model_folder(arguments.policy)
    reward = model_folder(arguments.reward) if "reward" in method.REQUIRES else None
    refuse_own_model(arguments.out, policy, reward)
    stage = Stage(
        method=arguments.method,
        policy=policy,
        reward=reward,
        data=arguments.data,
        seed=arguments.seed,
        prompt_format=arguments.prompt_format,
        out=arguments.out,
        tracking=read_settings(arguments.tracking, Tracking, "--tracking"),
    )
    method.train(stage, settings)
