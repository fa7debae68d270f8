"""Parquet files of items and replies, checked when they are read."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustdag.artifacts import read_table, sha256_text
from trustdag.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

ITEM_COLUMNS = ("item", "cluster", "condition", "messages", "options", "generate")
REPLY_COLUMNS = ("item", "kind", "sample", "reply", "logprob", "tokens", "ended", "status")


def read_items(path: Path, gold: Iterable[str] = ()) -> "pd.DataFrame":
    """Items with the contract's columns and these gold columns. Raises UserError for another kind of file."""
    items = read_table(path, (*ITEM_COLUMNS, *gold), "items")
    repeated = items["item"][items["item"].duplicated()]
    if len(repeated):
        raise UserError(f"{path}: item {repeated.iloc[0]} occurs {1 + (repeated == repeated.iloc[0]).sum()} times")
    return items


def items_digest(items: "pd.DataFrame") -> str:
    """SHA-256 of all items' content, gold columns included, in order."""
    rows = items.to_dict(orient="records")
    return sha256_text(json.dumps(row, sort_keys=True, default=_plain) for row in rows)


def _plain(value: Any) -> Any:
    """Converts the arrays and numbers that Parquet returns to Python lists and numbers."""
    return value.tolist()


def read_replies(path: Path) -> "pd.DataFrame":
    """Replies with the contract's columns. Raises UserError for another kind of file."""
    return read_table(path, REPLY_COLUMNS, "replies")
