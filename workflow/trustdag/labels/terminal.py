"""Asks for labels in the terminal, one reply at a time. A later run continues with the first unlabelled reply."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from trustdag.labels.draw import write
from trustdag.labels.questions import ANSWERS
from trustdag.stats.labels import SHEET_COLUMNS, outcome, read_columns

QUIT, BACK = "q", "b"


def ask(path: Path, read: Callable[[str], str] = input, show: Callable[[str], None] = print) -> int:
    """Asks about each row of a sheet that has no answer, and writes the sheet after each one.

    Args:
        path: The sheet.
        read: Reads a line after a prompt.
        show: Prints a text.

    Returns:
        How many rows have no answer yet.
    """
    sheet = read_columns(path, SHEET_COLUMNS)
    waiting = [row for row, answer in enumerate(sheet["answer"]) if not answer.strip()]
    place = 0
    while place < len(waiting):
        row = waiting[place]
        show(_page(sheet.iloc[row], place, len(waiting)))
        key = _key(read)
        if key == QUIT:
            break
        if key == BACK:
            place = max(0, place - 1)
            continue
        sheet.loc[row, "answer"] = outcome(key)
        write(sheet, path)
        place += 1
    return int(sheet["answer"].str.strip().eq("").sum())


def _key(read: Callable[[str], str]) -> str:
    """A key that is an answer, QUIT or BACK; the end of the input quits."""
    while True:
        try:
            key = read(f"{ANSWERS}, {BACK} back, {QUIT} quit: ").strip().lower()
        except EOFError:
            return QUIT
        if key in (QUIT, BACK):
            return key
        try:
            if outcome(key):
                return key
        except KeyError:
            continue


def _page(row: "pd.Series[str]", place: int, count: int) -> str:
    # A model's text may contain control codes of a terminal.
    prompt, reply, question = (_printable(row[name]) for name in ("prompt", "reply", "question"))
    return f"\n{place + 1} of {count}, {row['vertical']}\n\n{prompt}\n\n{reply}\n\n{question}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)
