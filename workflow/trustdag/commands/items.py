"""`trustdag items`: the questions of a vertical, the same for every model."""

import argparse
from pathlib import Path

from trustdag.verticals import settings_part, vertical

HELP = "Write a vertical's items, which are the same for every model, and their data card."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("vertical", help="name of the vertical")
    parser.add_argument("--settings", default="{}", help="the vertical's `items` settings: JSON or a YAML file")
    parser.add_argument("--out", type=Path, required=True, help="items.parquet")
    parser.add_argument("--card", type=Path, required=True, help="card.json")
    parser.add_argument("--digest", type=Path, help="write the digest of the items' content here")


def run(arguments: argparse.Namespace) -> None:
    """Writes the items and the card with their numbers by kind and the irregularities of the source."""
    from trustdag.artifacts import write_digest, write_json, write_table
    from trustdag.commands import read_settings
    from trustdag.generation.tables import items_digest, read_items
    from trustdag.verticals.card import card

    module = vertical(arguments.vertical)
    settings = read_settings(arguments.settings, settings_part(module, "items")).root
    items = module.items(settings)
    write_table(arguments.out, items)
    write_json(arguments.card, card(arguments.vertical, module, settings, items))
    if arguments.digest is not None:
        write_digest(arguments.digest, items_digest(read_items(arguments.out, module.GOLD)))
