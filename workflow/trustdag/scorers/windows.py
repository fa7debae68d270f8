"""Long texts, scored by sentence and window: a text is as toxic as its worst part, however much harmless text follows.

A linear model over words averages over a text, so that ten harmless sentences hide one insult.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trustdag.scorers.base import Scorer

NO_TEXT = 0.0
"""The score of a text without words."""


_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n+")


def windows(text: str, words: int | None) -> list[str]:
    """The text's sentences; one with more words than a window in windows, each half a window after the last.

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
    """Of one text."""

    highest: float
    """Of its windows: the text's score."""
    mean: float
    """Over its windows: how toxic it is for its length."""


class Windowed(Scorer):
    """A scorer whose texts are scored window by window."""

    def __init__(self, scorer: Scorer, words: int | None) -> None:
        self.name, self.version, self.digest = scorer.name, scorer.version, scorer.digest
        self._scorer, self._words = scorer, words

    def identity(self) -> dict[str, str]:
        """What results say about the scorer, the window among it."""
        return self._scorer.identity() | ({} if self._words is None else {"window": str(self._words)})

    def score(self, texts: Sequence[str]) -> list[float | None]:
        """The highest score of each text's windows; None where the scorer fails on one of them."""
        return [None if scores is None else scores.highest for scores in self.parts(texts)]

    def parts(self, texts: Sequence[str]) -> list[WindowScores | None]:
        """Each text's window scores; None where the scorer fails on one of them."""
        split = [windows(text, self._words) for text in texts]
        distinct = sorted({window for of_text in split for window in of_text})
        known = dict(zip(distinct, self._scorer.score(distinct), strict=True))
        return [_together([known[window] for window in of_text]) for of_text in split]


def _together(scores: list[float | None]) -> WindowScores | None:
    values = [score for score in scores if score is not None]
    if len(values) < len(scores):
        return None
    return WindowScores(max(values), sum(values) / len(values)) if values else WindowScores(NO_TEXT, NO_TEXT)
