"""`trustdag schema`: the configuration's JSON schema and reference page."""

import argparse
from pathlib import Path

HELP = "Write the configuration's JSON schema and its reference page, generated from the typed sections."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--json", type=Path, default=Path("config/schema.json"), help="the schema to write")
    parser.add_argument("--page", type=Path, default=Path("docs/configuration.md"), help="the page to write")


def run(arguments: argparse.Namespace) -> None:
    """Writes both files."""
    from trustdag.config.reference import page, schema

    arguments.json.write_text(schema(), encoding="utf-8")
    arguments.page.write_text(page(), encoding="utf-8")
