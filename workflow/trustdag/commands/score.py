"""`trustdag score`: converts replies to records of items. It needs no model, unless a scorer is one."""

import argparse
from pathlib import Path

from trustdag.verticals import settings_part, vertical

HELP = "Convert a model's replies to a vertical's items into records: one row for each metric and item."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("vertical", help="name of the vertical")
    parser.add_argument("--items", type=Path, required=True, help="items.parquet")
    parser.add_argument("--replies", type=Path, required=True, help="replies.parquet")
    parser.add_argument("--settings", default="{}", help="the vertical's `score` settings: JSON or a YAML file")
    parser.add_argument("--out", type=Path, required=True, help="records.parquet")


def run(arguments: argparse.Namespace) -> None:
    """Writes the records."""
    from trustdag.artifacts import sha256_file, write_table
    from trustdag.commands import read_settings
    from trustdag.generation.tables import items_digest, read_items, read_replies
    from trustdag.stamps import check, stamp, stamp_of

    module = vertical(arguments.vertical)
    settings = read_settings(arguments.settings, settings_part(module, "score")).root
    items = read_items(arguments.items, module.GOLD)
    replies = read_replies(arguments.replies)
    made_from = stamp_of(replies)
    check(arguments.replies, made_from, {"items": items_digest(items)})
    records = module.score(items, replies, settings)
    records.attrs |= {"vertical": arguments.vertical, "version": module.VERSION}
    stamp(records, made_from | {"score": settings.as_json(), "replies": sha256_file(arguments.replies)})
    write_table(arguments.out, records)
