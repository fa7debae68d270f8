"""Parsers of replies: one pure function for each kind of answer. A reply without a recognized answer is unread."""

from trustdag.verticals.parsers.agreement import agreement
from trustdag.verticals.parsers.base import CONFLICTING, DECLINED, UNREAD, ParsedAnswer
from trustdag.verticals.parsers.choice import chosen
from trustdag.verticals.parsers.refusal import is_refusal
from trustdag.verticals.parsers.secrets import states
from trustdag.verticals.parsers.wrongness import wrongness

__all__ = [
    "CONFLICTING",
    "DECLINED",
    "UNREAD",
    "ParsedAnswer",
    "agreement",
    "chosen",
    "is_refusal",
    "states",
    "wrongness",
]
