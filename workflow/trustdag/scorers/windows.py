"""Scores of long texts by sentence and window. A text's score is that of its most toxic part.

A linear model over words averages over a whole text, so ten harmless sentences would hide one insult.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trustdag.scorers.base import Scorer

NO_TEXT = 0.0
"""The score of a text without words."""
DENSITY_WINDOW = 8
"""Words of a window of the density, for a scorer that reads whole texts."""


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
    """The text's score: the highest of its windows, or that of the whole text."""
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
        """Each text's window scores; None if the scorer fails on one of them.

        A text that is scored as a whole has a density of its windows too: else a shorter reply, with fewer chances of a
        rude word, would seem less toxic for its length. A service that is paid by the request scores the whole alone.
        """
        wholes = [windows(text, self._words) for text in texts]
        split = wholes
        if self._words is None and not self._scorer.remote:
            split = [windows(text, DENSITY_WINDOW) for text in texts]
        distinct = sorted({window for of_text in (*wholes, *split) for window in of_text})
        known = dict(zip(distinct, self._scorer.score(distinct), strict=True))
        pairs = zip(wholes, split, strict=True)
        return [_together([known[window] for window in one], [known[window] for window in many]) for one, many in pairs]


def _together(scores: list[float | None], of_windows: list[float | None]) -> WindowScores | None:
    highest = [score for score in scores if score is not None]
    values = [score for score in of_windows if score is not None]
    if len(highest) < len(scores) or len(values) < len(of_windows):
        return None
    return WindowScores(max(highest), sum(values) / len(values)) if values else WindowScores(NO_TEXT, NO_TEXT)
