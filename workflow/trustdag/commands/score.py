"""`trustdag score`: replies to per-item records; no model is needed, unless a scorer is one."""

import argparse
from pathlib import Path

from trustdag.verticals import settings_part, vertical

HELP = "Turn a model's replies to a vertical's items into records: one row a metric and item."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The vertical's name, items, replies, scoring settings and output file."""
    parser.add_argument("vertical", help="name of the vertical")
    parser.add_argument("--items", type=Path, required=True, help="items.parquet")
    parser.add_argument("--replies", type=Path, required=True, help="replies.parquet")
    parser.add_argument("--settings", default="{}", help="the vertical's `score` settings: JSON or a YAML file")
    parser.add_argument("--out", type=Path, required=True, help="records.parquet")


def run(arguments: argparse.Namespace) -> None:
    """Writes the records."""
    from trustdag.artifacts import atomic_file
    from trustdag.commands import read_settings
    from trustdag.generation.tables import read_items, read_replies

    module = vertical(arguments.vertical)
    settings = read_settings(arguments.settings, settings_part(module, "score")).root
    items = read_items(arguments.items, module.GOLD)
    records = module.score(items, read_replies(arguments.replies), settings)
    records.attrs |= {"vertical": arguments.vertical, "version": module.VERSION}
    with atomic_file(arguments.out) as path:
        records.to_parquet(path, index=False)
