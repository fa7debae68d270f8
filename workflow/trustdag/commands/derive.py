"""`trustdag derive`: a preference set made from another one: a random part of it, or the set without some pairs."""

import argparse
import sys
from pathlib import Path

from pydantic import RootModel

from trustdag.commands import add_benchmark, read_settings
from trustdag.data.derived import AnyDerived

HELP = (
    "Make a preference set from a prepared one: a random part of it, or without the pairs that changed a vertical most."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--settings", required=True, help="JSON or a YAML file; `source` is `subset` or `pruned`")
    parser.add_argument("--parent", type=Path, required=True, help="folder of the parent set")
    parser.add_argument("--attribution", type=Path, nargs="?", help="scores of its pairs, for `pruned`")
    parser.add_argument("--direction", choices=("lower", "higher"), nargs="?", help="better direction, for `pruned`")
    parser.add_argument("--out", type=Path, required=True, help="folder to write, with the files that `prepare` writes")
    add_benchmark(parser)


def run(arguments: argparse.Namespace) -> None:
    """Writes the set, and prints the number of kept pairs."""
    from trustdag.data.derived import derive

    settings = read_settings(arguments.settings, RootModel[AnyDerived]).root
    counts = derive(settings, arguments.parent, arguments.out, arguments.attribution, arguments.direction)
    print(f"{counts['kept']:,} of {counts['pairs']:,} training pairs are kept", file=sys.stderr)
