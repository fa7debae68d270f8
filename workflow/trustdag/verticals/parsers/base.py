"""What a parser says of a reply: its answer, or why there is none."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["read", "unread", "declined", "conflicting"]


@dataclass(frozen=True)
class ParsedAnswer:
    """What was understood of one reply."""

    value: bool | int | None
    """Yes or no, or the index of an option; None unless the kind is `read`."""
    kind: Kind = "read"
    """`read`; `unread`: the reply says nothing that is an answer; `declined`: it refuses to answer; `conflicting`: it
    gives several answers that exclude each other."""


UNREAD, DECLINED, CONFLICTING = (
    ParsedAnswer(None, "unread"),
    ParsedAnswer(None, "declined"),
    ParsedAnswer(None, "conflicting"),
)
