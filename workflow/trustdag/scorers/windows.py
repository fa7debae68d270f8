"""Scores of long texts by sentence and window. A text's score is that of its most toxic part.

A linear model over words averages over a whole text, so ten harmless sentences would hide one insult.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trustdag.scorers.base import Scorer

NO_TEXT = 0.0
"""The score of a text without words."""


_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n+")


def windows(text: str, words: int | None) -> list[str]:
    """The text's sentences. A sentence longer than a window becomes windows that overlap by half.

    Args:
        text: The text.
        words: Words of a window; None for the whole text.
    """
    if words is None:
        return [text] if text.strip() else []
    parts = []
    for sentence in _SENTENCE_END.split(text):
        said = sentence.split()
        starts = [*range(0, max(0, len(said) - words), max(1, words // 2)), max(0, len(said) - words)]
        parts += [" ".join(said[start : start + words]) for start in starts if said]
    return parts


@dataclass(frozen=True)
class WindowScores:
    """The window scores of one text."""

    highest: float
    """Highest score of its windows: the text's score."""
    mean: float
    """Mean score of its windows: its toxicity relative to its length."""


class Windowed(Scorer):
    """A scorer whose texts are scored window by window."""

    def __init__(self, scorer: Scorer, words: int | None) -> None:
        self.name, self.version, self.digest = scorer.name, scorer.version, scorer.digest
        self._scorer, self._words = scorer, words

    def identity(self) -> dict[str, str]:
        """The description of the scorer that results record, with the window."""
        return self._scorer.identity() | ({} if self._words is None else {"window": str(self._words)})

    def score(self, texts: Sequence[str]) -> list[float | None]:
        """The highest score of each text's windows; None if the scorer fails on one of them."""
        return [None if scores is None else scores.highest for scores in self.parts(texts)]

    def parts(self, texts: Sequence[str]) -> list[WindowScores | None]:
        """Each text's window scores; None if the scorer fails on one of them."""
        split = [windows(text, self._words) for text in texts]
        distinct = sorted({window for of_text in split for window in of_text})
        known = dict(zip(distinct, self._scorer.score(distinct), strict=True))
        return [_together([known[window] for window in of_text]) for of_text in split]


def _together(scores: list[float | None]) -> WindowScores | None:
    values = [score for score in scores if score is not None]
    if len(values) < len(scores):
        return None
    return WindowScores(max(values), sum(values) / len(values)) if values else WindowScores(NO_TEXT, NO_TEXT)
