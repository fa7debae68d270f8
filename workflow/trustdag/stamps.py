"""Stamps: the origins of a table, stored in its file. Replies and records that do not belong together are refused.

Snakemake makes outdated files again. The stamps are a second check, in case that an outdated file was kept.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trustdag.errors import UserError, first_line
from trustdag.jsonfiles import AGAIN

if TYPE_CHECKING:
    import pandas as pd

KEY = "made_from"
"""The attribute of a data frame that pandas writes into a Parquet file's schema."""


def stamp(frame: "pd.DataFrame", made_from: Mapping[str, str]) -> None:
    """Stores the origins of a table before it is written: digests and settings by name."""
    frame.attrs[KEY] = dict(made_from)


def stamp_of(frame: "pd.DataFrame") -> dict[str, str]:
    """The origins of a table that was read; empty for a table without a stamp."""
    return dict(frame.attrs.get(KEY, {}))


def read_stamp(path: Path) -> dict[str, str]:
    """As `stamp_of`, without reading the rows. Raises UserError if there is no such Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        attributes = (pq.read_schema(path).metadata or {}).get(b"PANDAS_ATTRS", b"{}")
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not a Parquet file, or not there ({first_line(error)})") from None
    try:
        made_from = json.loads(attributes).get(KEY, {})
        return {str(name): str(value) for name, value in made_from.items()}
    except (ValueError, AttributeError, RecursionError):
        raise UserError(f"{path}: damaged: not what its schema says it was made from; {AGAIN}") from None


def check(path: Path, made_from: Mapping[str, str], present: Mapping[str, str]) -> None:
    """Refuses a file whose origins differ from the present ones.

    Args:
        path: The file, for the message.
        made_from: Its stamp. Names that the stamp lacks are not checked, as the file may have another source.
        present: The present origins, by name.

    Raises:
        UserError: The two differ. The message names the file and the difference.
    """
    for name, value in present.items():
        if made_from.get(name, value) != value:
            raise UserError(
                f"{path}: stale: made with other `{name}` than now; delete the file and run snakemake again"
            )
