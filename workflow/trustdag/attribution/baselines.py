"""Baselines that every attribution is compared with: scores of pairs that need no gradient. Imports no torch.

A pair's similarity to a text is the similarity of its chosen reply minus that of its rejected reply; for SFT it is that
of the chosen reply alone. Similarities are summed with the weights of the query.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from trustdag.stats.estimators import Array

NAMES = ("random", "bm25", "embedding", "length")
SATURATION, LENGTH_WEIGHT = 1.2, 0.75
"""BM25's k1 and b, the usual ones."""


def random(count: int, seed: int) -> Array:
    """(pairs,): random scores."""
    return np.random.default_rng(seed).normal(size=count)


def length(chosen: Sequence[str], rejected: Sequence[str] | None) -> Array:
    """(pairs,): length of the chosen reply minus that of the rejected reply, in characters."""
    shorter = [0] * len(chosen) if rejected is None else [len(text) for text in rejected]
    return np.array([len(text) for text in chosen], float) - np.array(shorter, float)


def bm25(texts: Sequence[str], weights: Array, documents: Sequence[Sequence[str]]) -> Array:
    """(pairs,): Okapi BM25 of the query's texts with each pair (Robertson and Zaragoza 2009).

    Args:
        texts: The query's texts, prompt and reply together.
        weights: (texts,) their weights in the query.
        documents: Prompt and chosen reply of each pair; if there are rejected replies, also prompt and rejected reply.
    """
    sides = [[words(text) for text in side] for side in documents]
    everything = [document for side in sides for document in side]
    frequency = Counter(word for document in everything for word in set(document))
    mean = sum(map(len, everything)) / max(1, len(everything))
    wanted: Counter[str] = Counter()
    for text, weight in zip(texts, weights, strict=True):
        for word in words(text):
            wanted[word] += float(weight)  # type: ignore[assignment]
    rarity = {
        word: weight * np.log(1 + (len(everything) - frequency[word] + 0.5) / (frequency[word] + 0.5))
        for word, weight in wanted.items()
    }
    scores = [np.array([_match(document, rarity, mean) for document in side]) for side in sides]
    return scores[0] - scores[1] if len(scores) > 1 else scores[0]


def _match(document: Sequence[str], rarity: dict[str, float], mean: float) -> float:
    penalty = SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * len(document) / mean)
    return sum(
        rarity.get(word, 0.0) * count * (SATURATION + 1) / (count + penalty)
        for word, count in Counter(document).items()
    )


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return re.findall(r"\w+", text.lower())


def embedding(vectors: Array, weights: Array, pairs: Sequence[Array]) -> Array:
    """(pairs,): cosine similarity of the query's texts with each pair.

    Args:
        vectors: (texts, width) embeddings of the query's texts.
        weights: (texts,).
        pairs: (pairs, width) embeddings of the chosen replies and, if there are any, of the rejected replies.
    """
    query = weights @ _unit(vectors)
    scores = [_unit(side) @ query for side in pairs]
    return scores[0] - scores[1] if len(scores) > 1 else scores[0]


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
