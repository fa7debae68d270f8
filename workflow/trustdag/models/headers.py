"""The headers of safetensors files, read with checks before any weight is loaded."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from trustdag.errors import UserError, first_line

LONGEST_HEADER = 100_000_000
"""Largest header in bytes; the limit of safetensors itself."""
POINTER = b"version https://git-lfs"


class Stored(NamedTuple):
    """A weight in a file."""

    shape: tuple[int, ...]
    dtype: str
    """Such as `BF16`."""


def safetensors_weights(path: Path) -> dict[str, Stored]:
    """The weights in a file, by name. Raises UserError for a file that is damaged or no such file."""
    if not path.is_file():
        raise UserError(f"{path}: not a regular file")
    from safetensors import SafetensorError, safe_open

    try:
        weights = dict(_weights(_header(path)))
        with safe_open(str(path), "np"):  # that the file is as long as its header says; "pt" would map it as writable
            return weights
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, SafetensorError) as error:
        with path.open("rb") as file:
            pointer = file.read(len(POINTER)) == POINTER
        what = "a pointer of git-lfs, not the weights" if pointer else f"damaged or cut short ({first_line(error)})"
        raise UserError(f"{path}: {what}; fetch it again (with `git lfs pull`, or from the hub)") from None


def _header(path: Path) -> Any:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        size = path.stat().st_size
        if not 2 <= length <= min(LONGEST_HEADER, size - 8):
            raise ValueError(f"its header is said to have {length:,} bytes, the file has {size:,}")
        return json.loads(file.read(length))


def _weights(header: Any) -> Iterator[tuple[str, Stored]]:
    for name, tensor in header.items():
        if name != "__metadata__":
            shape = tuple(tensor["shape"])
            if not all(isinstance(size, int) and size >= 0 for size in shape):
                raise ValueError(f"{name} has the shape {shape}")
            yield name, Stored(shape, str(tensor["dtype"]))
