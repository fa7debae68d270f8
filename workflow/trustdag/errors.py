"""Errors that a user can fix. They are shown in one or two lines, without a traceback."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

LOGIN = re.compile(r"(?<=://)[^/\s]+@")
"""A user and a password in an address."""


class UserError(Exception):
    """An error whose message names the file, key or line, the value, and the remedy.

    The command line prints the message and exits with 2. Any other exception is a bug and keeps its traceback.
    Addresses in the message are printed without their passwords.
    """

    def __init__(self, message: str) -> None:
        super().__init__(without_logins(message))


def without_logins(text: str) -> str:
    """A text whose addresses have `***` in place of a user and a password."""
    return LOGIN.sub("***@", text)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, at most 200 characters, without passwords; or the error's type.

    The message of a KeyError is the key alone, so it follows the type. A line that ends in a colon needs the next one.
    """
    lines = without_logins(str(error)).strip().splitlines()
    if len(lines) > 1 and lines[0].endswith(":"):
        lines[0] += f" {lines[1].strip()}"
    if isinstance(error, KeyError) or not lines:
        return ": ".join([type(error).__name__, *lines])[:200]
    return lines[0][:200]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` with the nearest of the known names; empty if none is near."""
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean `{close[0]}`?" if close else ""
