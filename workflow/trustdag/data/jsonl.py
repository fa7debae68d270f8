"""Reads JSON-lines files, plain or gzipped, line by line. Errors name the line."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from trustdag.data.source import NotAPair
from trustdag.errors import UserError

GZIP = b"\x1f\x8b"
LONGEST = 10_000_000
"""Largest number of bytes of a line; a pair of replies has fewer."""
MOST_BLANK = 1_000_000
"""Blank lines in one file: a small archive can hold thousands of millions."""
MOST_UNZIPPED = 200
"""Bytes of text for each byte of an archive: text shrinks to a fifth, the same line again and again to a thousandth."""
SMALL = 50_000_000
"""Bytes of text that any archive may hold."""
POINTER = b"version https://git-lfs"
UTF16 = (b"\xff\xfe", b"\xfe\xff")


def lines(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    """Each line that is not blank as `NAME:LINE` and its bytes.

    Raises UserError if the file is damaged or cut off, because the number of missing records is unknown.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file, or not a regular one")
    _refuse_kind(path)
    most = max(SMALL, MOST_UNZIPPED * path.stat().st_size)
    number = blank = size = 0
    try:
        with _open(path) as handle:
            for number, line in enumerate(iter(lambda: handle.readline(LONGEST + 1), b""), start=1):
                if len(line) > LONGEST:
                    raise UserError(f"{path}:{number}: a line of more than {LONGEST:,} bytes, which no pair has")
                size += len(line)
                if size > most:
                    raise UserError(
                        f"{path}:{number}: the archive holds more than {MOST_UNZIPPED} times its own size, as no data"
                        " does: it repeats itself"
                    )
                if number == 1 and line.lstrip().startswith(b"["):
                    raise UserError(
                        f"{path}: a JSON list, where one record a line is expected; convert it by"
                        f" `jq -c '.[]' {path.name} > NEW.jsonl`"
                    )
                if not line.endswith(b"\n"):
                    _refuse_cut_off(path, number, line)
                if line.strip():
                    yield f"{name}:{number}", line
                    continue
                blank += 1
                if blank > MOST_BLANK:
                    raise UserError(f"{path}:{number}: more than {MOST_BLANK:,} blank lines, which no data has")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(
            f"{path}: the gzip file is damaged or cut off after line {number}; fetch it again ({error})"
        ) from None


def record(line: bytes) -> dict[str, Any]:
    """The JSON object of a line. Raises NotAPair if it is not one."""
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise NotAPair(f"not UTF-8: byte {line[error.start]:#04x} at position {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise NotAPair(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise NotAPair(f"a JSON {type(value).__name__}, not an object with keys")
    return value


def _open(path: Path) -> IO[bytes]:
    """Opens a file, unzipping it if its content is gzipped. The name does not count: it may have a wrong suffix."""
    with path.open("rb") as handle:
        zipped = handle.read(len(GZIP)) == GZIP
    return cast(IO[bytes], gzip.open(path, "rb")) if zipped else path.open("rb")


def _refuse_kind(path: Path) -> None:
    """Raises UserError for a file without data, or in another encoding than UTF-8."""
    with path.open("rb") as handle:
        start = handle.read(len(POINTER))
    if start == POINTER:
        raise UserError(f"{path}: a pointer of git-lfs, not the data; fetch the file with `git lfs pull`")
    if start.startswith(UTF16):
        raise UserError(f"{path}: UTF-16, not UTF-8; write it again as UTF-8 (iconv -f UTF-16 -t UTF-8)")


def _refuse_cut_off(path: Path, number: int, line: bytes) -> None:
    """Raises UserError for an incomplete last line. A complete one without line feed is accepted."""
    try:
        json.loads(line or b"null")
    except (ValueError, RecursionError):
        if line.strip():
            raise UserError(
                f"{path}:{number}: the file ends within this line; fetch it again, or delete the line"
            ) from None
