"""Reads YAML of users. It has one meaning in every loader, and takes bounded time, or it is refused in a sentence."""

import json
from pathlib import Path
from typing import Any

import yaml

from trustdag.errors import UserError

LARGEST = 10_000_000
"""Bytes of a file of JSON."""
LARGEST_YAML = 1_000_000
"""Characters of YAML, which is read a hundred times as slowly."""
MOST_VALUES = 1_000_000
"""Values after aliases and merge keys (`<<`) are replaced by what they stand for."""
DEEPEST = 100
"""Levels of sections in each other."""
_PREFIX = "tag:yaml.org,2002:"
MERGE = f"{_PREFIX}merge"
TAGS = frozenset(f"{_PREFIX}{kind}" for kind in ("null", "bool", "int", "float", "str", "seq", "map"))
"""Types of values that JSON has too."""


def read_yaml(path: Path) -> Any:
    """The value in a YAML or JSON file. Raises UserError for a file that is missing, or that `parse_yaml` refuses."""
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: not a regular file")
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: larger than {LARGEST:,} bytes")
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        raise UserError(f"{path}: {getattr(error, 'strerror', error)}") from None
    try:
        return parse_yaml(content.decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not YAML: not UTF-8 (byte {content[error.start]:#04x} at {error.start})") from None


def parse_yaml(text: str, origin: str, otherwise: str = "YAML") -> Any:
    """The value of a YAML or JSON text.

    Args:
        text: The text.
        origin: The file or option that it came from.
        otherwise: What the text should have been, for messages.

    Raises:
        UserError: It is neither YAML nor JSON; repeats a key; has a key or number that reads as something else than it
            looks like; or has aliases that repeat each other without end.
    """
    try:
        value = _parsed(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{origin}: not {otherwise}: {_in_one_line(error)}") from None
    if _is_endless(value):
        raise UserError(f"{origin}: its aliases repeat each other without end; write the sections out")
    return value


def _in_one_line(error: Exception) -> str:
    """Why a text is not YAML: `line 9, column 6: could not find expected ':'`."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or not problem:
        return f"{' '.join(str(error).split()):.300}"
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _parsed(text: str) -> Any:
    """JSON, or else YAML: in the order of Snakemake."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError:
        if len(text) > LARGEST_YAML:
            raise ValueError(f"larger than {LARGEST_YAML:,} characters") from None
        return yaml.load(text, Loader=StrictLoader)  # noqa: S506 - a SafeLoader


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"`{twice}` stands twice")
    return keys


class StrictLoader(yaml.SafeLoader):
    """YAML whose keys are texts and stand once, and whose numbers are written in base 10 or 16.

    YAML reads the key `no` as False, `3:20` as 200 and `010` as 8. Any of these is refused, because another loader of
    the same file, such as Snakemake's, would take it.
    """

    merged = 0
    """Keys that merge keys have added."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A mapping as it is written. Raises YAMLError for a repeated key, and for a key that is no text."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag not in (f"{_PREFIX}str", MERGE):
                written = f"`{key.value}` is read as another kind of value: " if key.id == "scalar" else ""
                raise _refused(f"{written}a key is a text; put it in quotes", key)
            if key.value in seen and key.tag != MERGE:
                raise _refused(f"`{key.value}` stands twice", key)
            seen.add(key.value)
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Replaces merge keys by what they stand for. Raises YAMLError for too many keys."""
        for key, value in node.value:
            for inner in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if key.tag == MERGE and isinstance(inner, yaml.MappingNode):
                    self.flatten_mapping(inner)
                    self.merged += len(inner.value)
                    if self.merged > MOST_VALUES:
                        raise _refused("its merge keys repeat each other without end", node)
        super().flatten_mapping(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """A value. Raises YAMLError for a type that JSON lacks, and for a number in base 8 or 60."""
        if node.tag not in TAGS:
            kind = node.tag.removeprefix(_PREFIX)
            raise _refused(f"a value of the type {kind}; put a text in quotes, and write no other type", node)
        if node.tag in (f"{_PREFIX}int", f"{_PREFIX}float"):
            digits = str(node.value).lstrip("+-").replace("_", "")
            if ":" in digits or (len(digits) > 1 and digits[0] == "0" and digits[1:].isdigit()):
                raise _refused(
                    f"`{node.value}` is a number in base {60 if ':' in digits else 8}; put a text in quotes,"
                    " and write a number in base 10",
                    node,
                )
        return super().construct_object(node, deep)


def _refused(why: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, why, node.start_mark)


def _is_endless(value: Any) -> bool:
    """Whether aliases make the value contain itself, or make it extremely large."""
    waiting, seen = [(value, 0)], 0
    while waiting:
        entry, depth = waiting.pop()
        seen += 1
        if seen > MOST_VALUES or depth > DEEPEST:
            return True
        entries = entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ()
        waiting += [(inner, depth + 1) for inner in entries]
    return False
