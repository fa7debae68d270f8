"""The command line: one file a command. Each has HELP, `add_arguments(parser)` and `run(arguments)`.

PASSES_ON = True means that `arguments.snakemake` gets all options that the command does not know.
"""

import argparse
import math
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from trustdag.errors import UserError
from trustdag.settings import SEEDS, Section, explain, refuse_characters
from trustdag.yamlfiles import parse_yaml, read_yaml

AnySection = TypeVar("AnySection", bound=BaseModel)


def read_settings(text: str, section: type[AnySection], option: str = "--settings") -> AnySection:
    """Parses the settings in a command's option.

    Raises UserError naming each key that is unknown or has a wrong value.

    Args:
        text: JSON, or the path of a YAML file.
        section: The type of the settings.
        option: The option's name, for messages.
    """
    origin = option if text.lstrip().startswith("{") else text
    value = parse_yaml(text, option, "YAML or JSON") if origin == option else read_yaml(Path(text))
    refuse_characters(value, origin)
    try:
        return section.model_validate(value or {})
    except ValidationError as error:
        raise UserError(explain(error, origin, value or {})) from None


def at_least(least: int) -> Callable[[str], float]:
    """The type of an option for a finite number from `least` on, whole if it is written so."""

    def number(text: str) -> float:
        value = int(text) if text.lstrip("-").isdigit() else float(text)
        if not least <= value < math.inf:
            raise argparse.ArgumentTypeError(f"{text}: write a number from {least} on")
        return value

    return number


def seed(text: str) -> int:
    """The type of an option for a random seed, with the limits of a study's seeds."""
    value = int(text)
    if not 0 <= value < SEEDS:
        raise argparse.ArgumentTypeError(f"{text}: write a whole number from 0 to {SEEDS - 1}")
    return value


def refuse_own_model(out: Path, *sources: Path | None) -> None:
    """Raises UserError for an output folder whose model would replace one that it is made from.

    Args:
        out: The folder of the new model/.
        sources: Model folders that are read; None for one that is not.
    """
    for source in filter(None, sources):
        if source.resolve() == (out / "model").resolve():
            raise UserError(
                f"--out: {source} is what the new model is made from and would be lost; name another folder"
            )


def add_benchmark(parser: argparse.ArgumentParser) -> None:
    """Adds the option of commands whose outputs may come from the cache between studies (see `cli.measured`)."""
    parser.add_argument("--benchmark", type=Path, help="write the run time and peak memory here, as Snakemake would")


def add_tracking(parser: argparse.ArgumentParser) -> None:
    """Adds the option of commands that train a model."""
    parser.add_argument(
        "--tracking",
        default="{}",
        help='live trackers, JSON or a YAML file: \'{"trackers": ["tensorboard"], "folder": "tracking"}\'',
    )


def settings_help(section: type[Section]) -> str:
    """The keys of `--settings` with their descriptions and defaults, the section's own keys first."""
    entries, descriptions = [], section.descriptions()
    for name, field in sorted(section.model_fields.items(), key=lambda item: item[0] not in section.__annotations__):
        default = (
            "required" if field.is_required() else f"default {_shown(field.get_default(call_default_factory=True))}"
        )
        text = f"{' '.join(descriptions[name].split())} ({default})"
        entries.append(textwrap.fill(text, width=110, initial_indent=f"  {name:25} ", subsequent_indent=" " * 28))
    return "keys of --settings:\n" + "\n".join(entries)


def _shown(value: object) -> str:
    """A default value in YAML."""
    value = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
