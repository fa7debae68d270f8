"""Finished replies in a file beside the output, so that a killed run resumes where it stopped."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

ReplyRow = dict[str, Any]
"""One reply with the columns of `tables.REPLY_COLUMNS`."""


class PartialReplies:
    """An append-only file of JSON lines: a header with the run's key, then one line for each batch of finished replies.

    A file with another key (other items, model or settings) is overwritten. A line that a kill cut short is dropped.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.done: list[ReplyRow] = []
        whole = self._read(key) if path.exists() else 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = path.open("r+b" if whole else "wb")
        self._handle.truncate(whole)
        self._handle.seek(whole)
        if not whole:
            self._write({"key": key})

    def _read(self, key: str) -> int:
        """Loads the finished replies. Returns how many bytes of the file are complete, 0 if it is another run's."""
        whole = 0
        for number, line in enumerate(self.path.read_bytes().splitlines(keepends=True)):
            if not line.endswith(b"\n"):
                break
            value = json.loads(line)
            if number == 0 and value != {"key": key}:
                return 0
            if number:
                self.done += value
            whole += len(line)
        return whole

    def add(self, replies: Sequence[ReplyRow]) -> None:
        """Stores a batch's replies; they are on disk when this returns."""
        self._write(list(replies))

    def _write(self, value: Any) -> None:
        self._handle.write(json.dumps(value).encode() + b"\n")
        self._handle.flush()
        os.fsync(self._handle.fileno())

    def remove(self) -> None:
        """Deletes the file, once the output holds everything."""
        self._handle.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._handle.close()
