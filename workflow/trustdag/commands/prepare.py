"""`trustdag prepare`: preference data of any format to Parquet, split by conversation, with a data card."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ConfigDict

from trustdag.commands import add_benchmark, read_settings
from trustdag.errors import UserError
from trustdag.settings import Section

if TYPE_CHECKING:
    from trustdag.data.card import Reading

HELP = "Prepare preference data: drop and count what is unusable, split by conversation, write Parquet and a data card."
EVERY_SECONDS = 5.0
"""Between two lines of progress."""


class Named(Section):
    """Settings of whatever source: which one it is."""

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
    """Prepares the data, and says what was kept and dropped."""
    from trustdag.data import sources
    from trustdag.data.prepare import SPLITS, prepare

    name = read_settings(arguments.settings, Named).source
    if name not in sources():
        raise UserError(f"--settings: source: no source `{name}`; choose one of {', '.join(sources())}")
    settings = read_settings(arguments.settings, sources()[name].Settings)
    progress = Progress()
    card = prepare(settings, arguments.out, progress)
    sizes = ", ".join(f"{card['splits'][split]['pairs']:,} {split}" for split in SPLITS)
    progress.show()
    print(f"written to {arguments.out}: {sizes}", file=sys.stderr)


class Progress:
    """A line on stderr every few seconds."""

    def __init__(self) -> None:
        self._reading: Reading | None = None
        self._started = self._shown = time.monotonic()

    def __call__(self, reading: "Reading") -> None:
        """Called before each record."""
        self._reading = reading
        if time.monotonic() - self._shown >= EVERY_SECONDS:
            self.show()

    def show(self) -> None:
        """Prints where the reading stands."""
        self._shown = time.monotonic()
        if self._reading is not None:
            print(f"{self._reading.summary()} ({self._shown - self._started:.0f} s)", file=sys.stderr, flush=True)
