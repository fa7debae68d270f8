"""Errors that a user can fix. They are shown in one or two lines, without a traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """An error whose message names the file, key or line, the value, and the remedy.

    The command line prints the message and exits with 2. Any other exception is a bug and keeps its traceback.
    """


def first_line(error: BaseException) -> str:
    """The first line of an error's message, at most 200 characters; without a message, the error's type."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def not_yaml(error: Exception) -> str:
    """Why a text is not YAML, in one line: `line 9, column 6: could not find expected ':'`."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or not problem:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` with the nearest of the known names; empty if none is near."""
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean `{close[0]}`?" if close else ""
