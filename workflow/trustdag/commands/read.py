"""`trustdag read`: shows how a parser reads replies, one JSON line per reply."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trustdag.data.jsonl import lines, record
from trustdag.data.source import NotAPair
from trustdag.errors import UserError
from trustdag.verticals.parsers import DECLINED, ParsedAnswer, agreement, chosen, is_refusal, states, wrongness

HELP = "Parse replies from a JSON-lines file as a vertical does: the answer of each, or why there is none."
Line = dict[str, Any]


def _chosen(line: Line) -> ParsedAnswer:
    return chosen(_text(line), _texts(line, "options", required=True), _texts(line, "labels", required=False))


def _refused(line: Line) -> ParsedAnswer:
    declines = is_refusal(_text(line))
    return ParsedAnswer(declines, DECLINED.kind if declines else "read")


PARSERS: dict[str, Callable[[Line], ParsedAnswer]] = {
    "agreement": lambda line: agreement(_text(line)),
    "wrongness": lambda line: wrongness(_text(line)),
    "chosen": _chosen,
    "states": lambda line: states(_text(line), _text(line, "secret")),
    "is_refusal": _refused,
}


USES = {
    "agreement": "bias",
    "wrongness": "ethics",
    "chosen": "truthfulness",
    "states": "privacy",
    "is_refusal": "all verticals",
}
"""The vertical that reads replies by each parser."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    uses = ", ".join(f"{name} of {vertical}" for name, vertical in USES.items())
    parser.add_argument("reader", choices=sorted(PARSERS), help=f"the parser: {uses}")
    parser.add_argument(
        "file",
        type=Path,
        help='JSON lines: {"text": ...}, for `chosen` with "options" and "labels", for `states` with "secret"',
    )


def run(arguments: argparse.Namespace) -> None:
    """Prints `{"reading": ..., "class": ...}` for each line of the file.

    Raises UserError with the line's number for a line that is not such an object.
    """
    parse = PARSERS[arguments.reader]
    for place, raw in lines(arguments.file, str(arguments.file)):
        try:
            answer = parse(record(raw))
        except NotAPair as error:
            raise UserError(f"{place}: {error}") from None
        print(json.dumps({"reading": answer.value, "class": answer.kind}))


def _text(line: Line, key: str = "text") -> str:
    """The text of a key. Raises NotAPair if it is missing or not a text."""
    value = line.get(key)
    if not isinstance(value, str) or (key == "secret" and not any(map(str.isalnum, value))):
        raise NotAPair(f"`{key}` is {json.dumps(value)}, not a text" + (" with a letter or digit" * (key == "secret")))
    return value


def _texts(line: Line, key: str, required: bool) -> list[str]:
    """The list of texts of a key. Raises NotAPair if it is another value, or required and missing."""
    value = line.get(key, None if required else [])
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value) or (required and not value):
        raise NotAPair(f"`{key}` is {json.dumps(value)}, not a list of texts")
    return value
