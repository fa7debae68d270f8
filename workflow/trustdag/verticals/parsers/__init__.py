"""Replies to answers: one pure function a kind of answer. What is none of the answers is unread, never a guess."""

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
