"""Anthropic's HH-RLHF (Bai et al. 2022, arXiv 2204.05862), and other data in its format.

One JSON object per line, `{"chosen": TRANSCRIPT, "rejected": TRANSCRIPT}`: two whole transcripts that share a prompt.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from trustdag.data import jsonl, location
from trustdag.data.source import Drop, Pair, Parts, SourceSettings, pair_or_drop, text_of
from trustdag.data.transcript import pair_of
from trustdag.hub import Commit, Repository

SUFFIXES = (".jsonl", ".jsonl.gz")
FILES = ("train.jsonl.gz", "test.jsonl.gz")
"""Files in each folder of the data set on the hub. Both are read, because preparation splits by conversation."""


class Settings(SourceSettings):
    """The format of HH-RLHF, from local files or from the hub."""

    source: Literal["hh"] = "hh"
    path: location.Paths | None = None
    """A .jsonl or .jsonl.gz file, a folder of them, or a list of these. None: the hub."""
    name: Repository = "Anthropic/hh-rlhf"
    """Data set on the Hugging Face hub."""
    revision: Commit = "09be8c5bbc57cb3887f3a9732ad6aa7ec602a1fa"
    """Its commit, 40 hexadecimal digits. Branches and tags are refused, because they can change."""
    data_dir: location.Paths = ("harmless-base", "helpful-base", "helpful-online", "helpful-rejection-sampled")
    """Folder of the data set on the hub, or several; by default all folders with comparisons, as for `load_dataset`."""


def files(settings: Settings) -> dict[str, Path]:
    """The files to read, by name. Raises UserError for a file that is missing or cannot be fetched."""
    if settings.path is not None:
        return location.local(settings.path, SUFFIXES)
    wanted = [f"{folder}/{file}" for folder in location.several(settings.data_dir) for file in FILES]
    return location.hub(settings.name, settings.revision, wanted)


def read(settings: Settings) -> Iterator[Pair | Drop]:
    """Every record in file order. Raises UserError for a file that is missing, damaged or cut off."""
    for name, path in files(settings).items():
        for where, line in jsonl.lines(path, name):
            yield pair_or_drop(where, _parts, line)


def _parts(line: bytes) -> Parts:
    record = jsonl.record(line)
    return pair_of(text_of(record, "chosen"), text_of(record, "rejected"))
