"""Code that all sources of items share: their settings, and readers of publishers' files."""

import csv
import gzip
import io
import json
import random
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from pydantic import Field

from trustdag.data.location import expanded
from trustdag.data.source import RAW
from trustdag.data.toyworld.benchmarks import ItemSettings as ToySettings
from trustdag.errors import UserError, first_line
from trustdag.hub import Commit, Repository, are_cached, dataset_files
from trustdag.publishers import PublishedFile, fetch
from trustdag.settings import Count, Section, Seed
from trustdag.verticals.base import Protocol

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 300_000_000
"""Bytes of a benchmark's file, unzipped: the largest has a third of it."""

Thing = TypeVar("Thing")


class ToyItems(ToySettings):
    """Items of the toy world. They are about people, groups, creatures and deeds that no preference pair mentions."""

    source: Literal["toy"] = "toy"
    """The invented world that trustdag generates."""


class BenchmarkItems(Section):
    """Settings of items from a published benchmark, for all locations of its files."""

    protocol: Protocol = "sound"
    """`sound`, or `paper` for the prompts of arXiv 2404.18870. Usually set once for the whole vertical."""
    limit: Count | None = None
    """Largest number of the benchmark's records, drawn at random. None: all."""
    seed: Seed = 0
    """Seed of that draw and of random orders, the same for every model."""

    def local(self) -> list[Path]:
        """The benchmark's files on this machine. Raises UserError if they cannot be fetched."""
        raise NotImplementedError

    def is_here(self) -> bool:
        """Whether `local` has nothing to fetch."""
        raise NotImplementedError


class FileItems(BenchmarkItems):
    """A benchmark from its publisher's files on disk, plain or gzipped."""

    source: Literal["file"]
    """Files on disk."""
    paths: tuple[str, ...] = Field(min_length=1)
    """The files, relative to the working directory, absolute, or below the home folder (`~/...`)."""

    def local(self) -> list[Path]:
        """The files that `paths` names."""
        return [expanded(path) for path in self.paths]

    def is_here(self) -> bool:
        """Always."""
        return True


class HubItems(BenchmarkItems):
    """A benchmark from the Hugging Face hub at one commit."""

    source: Literal["hub"]
    """The Hugging Face hub."""
    repository: Repository
    """Data set, such as `truthfulqa/truthful_qa`."""
    revision: Commit
    """Commit, 40 hexadecimal digits. Branches and tags are refused, because they can change."""
    files: tuple[str, ...] = Field(min_length=1)
    """Files of the data set, by their paths in it."""

    def local(self) -> list[Path]:
        """The files in the hub's cache, fetched if missing. Raises UserError if they cannot be fetched."""
        instead = "give the publisher's file as `source: file` with its `paths`"
        return dataset_files(self.repository, self.revision, self.files, instead)

    def is_here(self) -> bool:
        """Whether the hub's cache has all files."""
        return are_cached(self.repository, self.revision, self.files)


class PublisherItems(BenchmarkItems):
    """A benchmark from its publisher's own address, fetched once into a cache (see docs/verticals.md)."""

    FILES: ClassVar[tuple[PublishedFile, ...]] = ()
    """The files, each with its address and digest."""

    source: Literal["publisher"]
    """The publisher's own address."""

    def local(self) -> list[Path]:
        """The files in the cache, fetched if missing. Raises UserError if they cannot be fetched."""
        return [fetch(file) for file in self.FILES]

    def is_here(self) -> bool:
        """Whether the cache has all files."""
        return all(file.cached.is_file() for file in self.FILES)


def read_text(path: Path) -> str:
    """A file's text, unzipped if it is gzipped, without a byte order mark.

    Raises UserError if it is missing, cut short or not UTF-8.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if not path.is_file():
        raise UserError(f"{path}: not a regular file")
    try:
        with path.open("rb") as handle:
            zipped = handle.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else path.open("rb") as handle:
            content = handle.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise UserError(f"{path}: more than {LARGEST:,} bytes of text, which no benchmark has")
        return content.decode("utf-8-sig")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: the gzip file is damaged or cut short ({error}); fetch it again") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each record with its position, as `FILE:LINE`. Raises UserError for a line that is no JSON object."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):  # a string may hold other line separators
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path}:{number}: not JSON: {first_line(error)}; one JSON object a line is expected:"
                " another benchmark's file?"
            ) from None
        if not isinstance(record, dict):
            raise UserError(f"{path}:{number}: a JSON object is expected, not {type(record).__name__}")
        yield f"{path}:{number}", record


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file. Raises UserError if it lacks one of these columns."""
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    try:
        rows = list(reader)
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num}: not CSV ({error}); fetch it again") from None
    present = reader.fieldnames or ()
    missing = [name for name in columns if name not in present]
    if missing:
        raise UserError(
            f"{path}: no column {', '.join(missing)}: another benchmark's file? It has the columns "
            f"{', '.join(map(str, present)) or '(none)'}"
        )
    for number, row in enumerate(rows, start=2):
        if any(row[name] is None for name in columns):
            raise UserError(f"{path}: row {number} is cut short")
    return rows


def drawn(records: Sequence[Thing], settings: BenchmarkItems) -> list[Thing]:
    """At most `limit` records, drawn at random without replacement, in their own order."""
    if settings.limit is None or settings.limit >= len(records):
        return list(records)
    chosen = random.Random(f"limit {settings.seed}").sample(range(len(records)), settings.limit)
    return [records[number] for number in sorted(chosen)]


def message(role: str, content: str) -> dict[str, str]:
    """One turn of a conversation."""
    return {"role": role, "content": content}


def raw(text: str) -> dict[str, str]:
    """A text that the model continues without a prompt format, as in the paper."""
    return message(RAW, text)


def items_of(vertical: str, source: ModuleType, settings: Any) -> "pd.DataFrame":
    """A vertical's items: those of the toy world, or those of its source with its check items.

    Args:
        vertical: Its name.
        source: The module of its benchmark, with `items(settings)` and `checks(settings)`.
        settings: The `items` part of the vertical's settings.

    Returns:
        The items; `attrs["notes"]` counts irregularities of the source.

    Raises:
        UserError: A file is missing or belongs to another benchmark, or the settings cannot be met.
    """
    import pandas as pd

    if isinstance(settings, ToyItems):
        from trustdag.data.toyworld.benchmarks import items

        return items(vertical, settings)
    own: pd.DataFrame = source.items(settings)
    if own.empty:
        raise UserError(f"{', '.join(map(str, settings.local()))}: no item of {vertical} is in it; fetch it again")
    nothing = {name: type(value)() for name, value in own.iloc[0].to_dict().items()}
    frame = pd.DataFrame(
        [*own.assign(expected="").to_dict("records"), *(nothing | row for row in source.checks(settings))]
    )
    frame.attrs.update(own.attrs)
    return frame


def local_files(settings: Section) -> list[str]:
    """The local files that items are read from; none for the hub or a generated world.

    Raises UserError for a missing file.
    """
    paths = settings.local() if isinstance(settings, FileItems) else []
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: no such file")
    return [str(path) for path in paths]
