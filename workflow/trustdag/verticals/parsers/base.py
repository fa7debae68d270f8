"""The result of a parser: the answer of a reply, or why there is none."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["read", "unread", "declined", "conflicting"]


@dataclass(frozen=True)
class ParsedAnswer:
    """The answer of one reply."""

    value: bool | int | None
    """Yes or no, or the index of an option; None unless the kind is `read`."""
    kind: Kind = "read"
    """`read`: it has an answer; `unread`: no answer was recognized; `declined`: it refuses to answer; `conflicting`: it
    gives several answers that exclude each other."""


UNREAD, DECLINED, CONFLICTING = (
    ParsedAnswer(None, "unread"),
    ParsedAnswer(None, "declined"),
    ParsedAnswer(None, "conflicting"),
)
