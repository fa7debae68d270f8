"""Parquet files of preference data, written and read in blocks, so that a large data set needs little memory."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

BLOCK = 2048
"""Number of rows in a block."""


def pairs_schema() -> Any:
    """The columns of train, validation and test (see docs/architecture.md)."""
    import pyarrow as pa

    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    columns = [("prompt_id", pa.string()), ("prompt", pa.list_(message))]
    return pa.schema([*columns, *((name, pa.string()) for name in ("chosen", "rejected", "source"))])


def corpus_schema() -> Any:
    """The one column of corpus.parquet."""
    import pyarrow as pa

    return pa.schema([("text", pa.string())])


class Table:
    """A Parquet file open for writing. Equal rows in equal order give equal bytes."""

    def __init__(self, path: Path, schema: Any) -> None:
        import pyarrow.parquet as pq

        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._write()
        finally:
            self._writer.close()

    def add(self, row: dict[str, Any]) -> None:
        """Adds a row, whose keys are the schema's columns."""
        self._rows.append(row)
        if len(self._rows) >= BLOCK:
            self._write()

    def _write(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of such a file."""
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path, page_checksum_verification=True).iter_batches(batch_size=BLOCK):
        yield from batch.to_pylist()
