"""A file of finished replies next to the output file, from which a killed run resumes."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from trustdag.artifacts import atomic_file, sha256_text

ReplyRow = dict[str, Any]
"""One reply with the columns of `tables.REPLY_COLUMNS`."""


class PartialReplies:
    """An append-only file of lines: a header with the run's key, then one for each batch of finished replies.

    A line is JSON after a digest of it and the key. Lines with another key (other items, model or settings) are
    dropped. So is a line that a kill cut short or that was changed: its batch is generated again.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        path.parent.mkdir(parents=True, exist_ok=True)
        header = self._line({})
        lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
        kept = [line for line in lines if line != header and self._replies(line) is not None]
        self.done: list[ReplyRow] = [reply for line in kept for reply in self._replies(line) or ()]
        if lines != [header, *kept]:
            cut = bool(lines) and not lines[-1].endswith(b"\n")  # a kill cut the last line, which is not reported
            dropped = len(lines) - len(kept) - (header in lines) - cut
            if dropped and (kept or header in lines):
                print(f"{path}: {dropped} damaged lines; their replies are generated again", file=sys.stderr)
            with atomic_file(path) as partial:
                partial.write_bytes(b"".join([header, *kept]))
        self._handle = path.open("ab")

    def _line(self, value: Any) -> bytes:
        return self._sealed(json.dumps(value))

    def _sealed(self, content: str) -> bytes:
        return f"{sha256_text([self.key, content])} {content}\n".encode()

    def _replies(self, line: bytes) -> list[ReplyRow] | None:
        """The replies of a line; None if its digest is wrong."""
        content = line.removesuffix(b"\n").partition(b" ")[2].decode(errors="replace")
        if line != self._sealed(content):
            return None
        replies: list[ReplyRow] = json.loads(content)
        return replies

    def add(self, replies: Sequence[ReplyRow]) -> None:
        """Stores a batch's replies; they are on disk when this returns."""
        self._handle.write(self._line(list(replies)))
        self._handle.flush()
        os.fsync(self._handle.fileno())

    def remove(self) -> None:
        """Deletes the file. Call it when the output is complete."""
        self._handle.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._handle.close()
