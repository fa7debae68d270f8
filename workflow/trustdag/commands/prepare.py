"""`trustdag prepare`: converts preference data of any format to Parquet, split by conversation, with a data card."""

import argparse
import sys
from pathlib import Path

from pydantic import ConfigDict

from trustdag.commands import add_benchmark, read_settings
from trustdag.errors import UserError
from trustdag.progress import ProgressLines, duration
from trustdag.settings import Section

HELP = "Prepare preference data: drop unusable records, split by conversation, write Parquet files and a data card."


class Named(Section):
    """The name of the source, which all sources' settings have."""

    model_config = ConfigDict(extra="ignore")
    source: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "--settings", required=True, help='the source\'s settings: JSON such as \'{"source": "hh"}\', or a YAML file'
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for {train,validation,test,corpus}.parquet and card.json"
    )
    add_benchmark(parser)


def run(arguments: argparse.Namespace) -> None:
    """Prepares the data, and prints the numbers of kept and dropped records."""
    from trustdag.data import sources
    from trustdag.data.card import RecordCounts
    from trustdag.data.prepare import SPLITS, prepare

    name = read_settings(arguments.settings, Named).source
    if name not in sources():
        raise UserError(f"--settings: source: no source `{name}`; choose one of {', '.join(sources())}")
    settings = read_settings(arguments.settings, sources()[name].Settings)
    counts = RecordCounts()
    lines = ProgressLines(lambda seconds: f"{counts.summary()} ({duration(seconds)})")
    card = prepare(settings, arguments.out, counts, lines.maybe_show)
    sizes = ", ".join(f"{card['splits'][split]['pairs']:,} {split}" for split in SPLITS)
    lines.show()
    print(f"written to {arguments.out}: {sizes}", file=sys.stderr)
