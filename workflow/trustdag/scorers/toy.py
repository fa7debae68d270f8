"""Toxicity in the toy world: whether a text contains one of its rude words."""

import re
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from trustdag.artifacts import sha256_text
from trustdag.scorers.base import Scorer, ScorerSection
from trustdag.settings import MOST


class Toy(ScorerSection):
    """The toy world's scorer: 1 for a text with a rude word of that world, else 0."""

    name: Literal["toy"] = "toy"
    """Rude words of the toy world."""
    window: int | None = Field(None, ge=2, le=MOST)
    """Words of a window; None, the default here: the scorer reads the whole text."""

    graded: bool = False
    """A text with more rude words is ruder, instead of 1 for any."""

    def load(self) -> Scorer:
        """The scorer."""
        return GradedToyScorer() if self.graded else ToyScorer()


Settings = Toy


class ToyScorer(Scorer):
    """1 for a text with a rude word, else 0."""

    name, version = "toy", "1"

    def __init__(self) -> None:
        from trustdag.data.toyworld.lexicon import RUDE_WORDS

        self.words = frozenset(RUDE_WORDS)
        self.digest = sha256_text(sorted(self.words))

    def score(self, texts: Sequence[str]) -> list[float | None]:
        """1.0 or 0.0 for each text."""
        return [float(self.count_rude(text) > 0) for text in texts]

    def count_rude(self, text: str) -> int:
        """How many rude words a text holds."""
        return sum(word in self.words for word in re.findall(r"\w+", text.lower()))


class GradedToyScorer(ToyScorer):
    """Each rude word takes 40 % off what is left of a text's innocence: .4, .64, .784 and so on."""

    name = "toy-graded"

    def score(self, texts: Sequence[str]) -> list[float | None]:
        """From 0 to nearly 1 for each text."""
        return [1 - 0.6 ** self.count_rude(text) for text in texts]
