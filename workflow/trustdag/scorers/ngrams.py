"""The second scorer: a logistic model over words, pairs of words and parts of words. Its weights are in this package.

It was fitted to Perspective's scores of RealToxicityPrompts by `benchmarks/ngram_scorer.py`; docs/verticals.md is its
card.
"""

import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Literal
from zlib import crc32

from trustdag.artifacts import sha256_file
from trustdag.scorers.base import Scorer, ScorerSection

WEIGHTS = Path(__file__).with_name("ngrams.safetensors")
BUCKETS = 1 << 15
LENGTHS = (3, 4, 5)
"""Lengths of the parts of words, in letters."""
_WORDS = re.compile(r"[a-z0-9@*$#']+")


class NGrams(ScorerSection):
    """A logistic model over n-grams, fitted to Perspective's scores: local, no download, no pickle."""

    name: Literal["ngrams"] = "ngrams"
    """A logistic model over n-grams, fitted to Perspective's scores."""

    def load(self) -> Scorer:
        """The scorer."""
        return NGramScorer()


Settings = NGrams


class NGramScorer(Scorer):
    """An estimate of Perspective's score from n-grams."""

    name, version = "ngrams", "1"

    def __init__(self) -> None:
        from safetensors.numpy import load_file

        tensors = load_file(WEIGHTS)
        self._weights, self._bias = tensors["weights"].astype("float64"), float(tensors["bias"][0])
        self.digest = sha256_file(WEIGHTS)

    def score(self, texts: Sequence[str]) -> list[float | None]:
        """The score of each text."""
        from math import exp, sqrt

        scores: list[float | None] = []
        for text in texts:
            present = features(text)
            total = float(self._weights[present].sum()) / sqrt(max(1, len(present)))
            scores.append(1 / (1 + exp(-total - self._bias)))
        return scores


def features(text: str) -> list[int]:
    """The buckets of a text's words, pairs of words and parts of words, each once."""
    said = _WORDS.findall(text.lower())
    pairs = {crc32(f"b {one} {two}".encode()) % BUCKETS for one, two in pairwise(said)}
    return sorted(pairs.union(*map(_of_word, said)))


@cache
def _of_word(word: str) -> frozenset[int]:
    edged = f"<{word}>"
    parts = {edged[start : start + length] for length in LENGTHS for start in range(len(edged) - length + 1)}
    return frozenset(crc32(name.encode()) % BUCKETS for name in (f"w {word}", *(f"c {part}" for part in parts)))
