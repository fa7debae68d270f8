"""Readers of JSON files that check types and keys. Any fault gives an error of one sentence."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from trustdag.errors import UserError, first_line
from trustdag.settings import Section, explain

AnySection = TypeVar("AnySection", bound=Section)

NAMES: dict[type, str] = {
    dict: "an object", list: "a list", str: "a text", int: "a whole number", float: "a number", bool: "a switch",
    type(None): "null",
}  # fmt: skip
LARGEST = 300_000_000
"""Bytes of a file: the largest, a tokenizer, has a tenth of it."""
AGAIN = "delete it and run snakemake again"
"""The remedy for a damaged file that a job of the study makes."""
FETCH = "fetch it again"
"""The remedy for a damaged file of an external model."""
EVERY = "*"
"""In a shape: every key of the object."""

ANY: Mapping[str, Any] = MappingProxyType({})
"""The shape of an object with any keys."""

Shape = type | tuple[type, ...] | Mapping[str, Any]
"""The shape of a value: a type, or an object with these keys. `name?` is optional, `*` means every key."""


def read_json(path: Path, mend: str = AGAIN) -> Any:
    """The JSON in a file.

    Args:
        path: The file.
        mend: What to do about a damaged one.

    Raises:
        UserError: The file is missing or is not JSON.
    """
    try:
        return json.loads(_bounded(path, mend).decode("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # ValueError: neither JSON nor UTF-8, or a number without end
        raise UserError(f"{path}: damaged: not JSON: {first_line(error)}; {mend}") from None


def _bounded(path: Path, mend: str) -> bytes:
    """The content of a file. Raises UserError for one that is not regular or has more than `LARGEST` bytes."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: not a regular file; {mend}")
    if path.stat().st_size > LARGEST:
        raise UserError(f"{path}: damaged: more than {LARGEST:,} bytes; {mend}")
    return path.read_bytes()


def read_object(path: Path, shape: Mapping[str, Any], what: str, mend: str = AGAIN) -> dict[str, Any]:
    """The JSON object in a file, of this shape.

    Args:
        path: The file.
        shape: The keys that are read, and what their values must be.
        what: The kind of the file in messages, such as `a model's manifest`.
        mend: What to do about a damaged one.

    Raises:
        UserError: The file is missing, is not JSON, or has another shape.
    """
    value = read_json(path, mend)
    wrong = misfit(value, shape)
    if wrong is not None:
        raise UserError(f"{path}: damaged, or not {what}: {wrong}; {mend}")
    return dict(value)


def read_cache(path: Path, shape: Mapping[str, Any]) -> dict[str, Any]:
    """What a cache holds. A missing or damaged one is empty, because what it holds is computed again."""
    try:
        return read_object(path, shape, "a cache")
    except UserError:
        return {}


def read_section(path: Path, section: type[AnySection]) -> AnySection:
    """The section in a JSON file. Raises UserError if the file is missing or has other content."""
    value = read_json(path)
    try:
        return section.model_validate(value)
    except ValidationError as error:
        first = explain(error, str(path), value).splitlines()[0]
        raise UserError(f"{first}; the file is damaged: {AGAIN}") from None


def read_jsonl(path: Path, shape: Mapping[str, Any] = ANY, mend: str = AGAIN) -> list[dict[str, Any]]:
    """Every record of a JSON-lines file.

    Args:
        path: The file.
        shape: The keys of a record that are read, and what their values must be.
        mend: What to do about a damaged one.

    Raises:
        UserError: A line is not JSON, or has another shape.
    """
    records = []
    try:
        for number, line in enumerate(_bounded(path, mend).splitlines(), start=1):
            if line.strip():
                record = json.loads(line)
                wrong = misfit(record, shape)
                if wrong is not None:
                    raise UserError(f"{path}:{number}: damaged: {wrong}; {mend}")
                records.append(record)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}:{number}: not JSON: {first_line(error)}; {mend}") from None
    return records


def misfit(value: Any, shape: Shape, key: str = "") -> str | None:
    """The first difference of a value from a shape; None without a difference.

    Args:
        value: The value.
        shape: The required shape.
        key: Position of the value in the file.
    """
    here = f"`{key}` is" if key else "it is"
    if not isinstance(shape, Mapping):
        kinds = shape if isinstance(shape, tuple) else (shape,)
        fits = isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds)
        return None if fits else f"{here} {_kind(value)}, not {' or '.join(map(_name, kinds))}"
    if not isinstance(value, dict):
        return f"{here} {_kind(value)}, not an object with keys"
    for name, inner in shape.items():
        for present in value if name == EVERY else [name.removesuffix("?")]:
            if present not in value and name.endswith("?"):
                continue
            if present not in value:
                return f"`{key}{'.' if key else ''}{present}` is missing"
            wrong = misfit(value[present], inner, f"{key}{'.' if key else ''}{present}")
            if wrong is not None:
                return wrong
    return None


def _kind(value: Any) -> str:
    return _name(type(value))


def _name(kind: type) -> str:
    return NAMES.get(kind, kind.__name__)
