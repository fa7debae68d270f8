"""Invented studies whose truth is known: one function a kind of number, each drawing one study."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.stats import norm

from trustdag.stats.estimators import Array, Sample
from trustdag.stats.prediction_powered import LabelledSample

Generator: TypeAlias = np.random.Generator
Draw: TypeAlias = Callable[[Generator], tuple[Sample, ...]]
"""Draws one study: one sample, or two arms of the same items."""

BINARY_ALIKE = 0.3
"""Intraclass correlation of binary values."""
SIZES = {10: 8, 18: 12, 36: 3, 100: 3, 400: 1}
"""Clusters to records a cluster, of the tables' columns."""
FEW = {5: 3, 7: 3, 8: 4, 9: 6, 14: 12, 16: 12, 22: 12, 24: 12}
"""The same, of so few clusters that little can be found, or that flips are simulated."""


def sample(values: Array, clusters: int, labels: Array | None = None) -> Sample:
    """Values in equal clusters, one after the other."""
    flat = np.asarray(values, dtype=float).ravel()
    of = np.repeat(np.arange(clusters), len(flat) // clusters)
    named = np.full(len(flat), np.nan) if labels is None else np.asarray(labels, dtype=float).ravel()
    return Sample(flat, named, of, clusters)


def rate(truth: float, clusters: int) -> Draw:
    """Binary values of a rate, alike within their cluster (a beta-binomial)."""
    kept = (1 - BINARY_ALIKE) / BINARY_ALIKE

    def draw(generator: Generator) -> tuple[Sample, ...]:
        rates = generator.beta(truth * kept, (1 - truth) * kept, (clusters, 1))
        return (sample(generator.random((clusters, SIZES[clusters])) < rates, clusters),)

    return draw


def maximum_toxicity(level: float, clusters: int) -> Draw:
    """The greatest of five scores; few prompts are toxic, and those are toxic often."""

    def draw(generator: Generator) -> tuple[Sample, ...]:
        share = generator.beta(2 * level, 2 * (1 - level), (clusters, 1, 1))
        of_share = np.clip(share, 1e-3, 1 - 1e-3) * 3
        return (sample(generator.beta(of_share, 3 - of_share, (clusters, SIZES[clusters], 5)).max(axis=2), clusters),)

    return draw


def mean_of(draw: Draw, studies: int = 4000) -> float:
    """The true mean of a world without a formula, by many studies."""
    generator = np.random.default_rng(0)
    return float(np.mean([draw(generator)[0].values.mean() for _ in range(studies)]))


def ranking(truth: float, clusters: int) -> Draw:
    """Scores of two classes with that area under the curve; each cluster is of one class."""
    gap = float(norm.ppf(truth)) * np.sqrt(2)

    def draw(generator: Generator) -> tuple[Sample, ...]:
        size = SIZES[clusters]
        labels = np.repeat(np.arange(clusters)[:, None] % 2, size, axis=1)
        shared, own = generator.normal(size=(clusters, 1)), generator.normal(size=(clusters, size))
        return (sample(labels * gap + (shared + own) / np.sqrt(2), clusters, labels),)

    return draw


def paired_rates(rates: tuple[float, float], clusters: int) -> Draw:
    """Two arms' binary values, correlated within clusters and between arms."""

    def draw(generator: Generator) -> tuple[Sample, ...]:
        shared = generator.normal(size=(clusters, 1))
        own = generator.normal(size=(2, clusters, (SIZES | FEW)[clusters]))
        first, second = ((shared + arm) / np.sqrt(2) < norm.ppf(share) for arm, share in zip(own, rates, strict=True))
        return sample(first, clusters), sample(second, clusters)

    return draw


def leaks(able: tuple[float, float], leak: float, clusters: int = 72) -> Draw:
    """Two arms with the same share of leaks among the secrets that they can repeat, but different numbers of those."""

    def draw(generator: Generator) -> tuple[Sample, ...]:
        arms = []
        for share in able:
            counted = generator.random(clusters) < share
            arms.append(sample(counted & (generator.random(clusters) < leak), clusters, counted))
        return tuple(arms)

    return draw


def rankings(gaps: tuple[float, float], shift: float, clusters: int = 90) -> Draw:
    """Two arms' scores of two classes, the second arm's moved up as a whole."""

    def draw(generator: Generator) -> tuple[Sample, ...]:
        labels, ease = np.arange(clusters) % 2, generator.normal(size=clusters)
        first, second = (labels * gap + 0.7 * ease + 0.714 * generator.normal(size=clusters) for gap in gaps)
        return sample(first, clusters, labels), sample(second + shift, clusters, labels)

    return draw


def indices(first: tuple[float, float], second: tuple[float, float], clusters: int = 36) -> Draw:
    """Two arms' agreement with stereotypes and with their opposites, in clusters of unequal size."""

    def draw(generator: Generator) -> tuple[Sample, ...]:
        counts = generator.binomial([[6, 6]] * clusters, [[0.46, 0.34]] * clusters)
        labels = np.concatenate([[1.0] * stereotypes + [0.0] * opposites for stereotypes, opposites in counts])
        of = np.repeat(np.arange(clusters), counts.sum(axis=1))
        arms = [generator.random(len(labels)) < np.where(labels == 1, *rates) for rates in (first, second)]
        return tuple(Sample(arm.astype(float), labels, of, clusters) for arm in arms)

    return draw


def crossed(change_by_topic: float, topics: int = 16) -> tuple[Draw, Draw]:
    """Three statements a topic about 24 groups: a model's topics and statements differ from another's by chance.

    Args:
        change_by_topic: Standard deviation of what a topic, and a statement, adds to one model alone.
        topics: How many there are.

    Returns:
        Worlds with the same records, clustered by topic, and by topic and group as if groups did not share statements.
    """

    def arms(generator: Generator) -> list[Array]:
        ease, groups = generator.normal(0, 0.7, (topics, 3, 1)), generator.normal(0, 0.3, (1, 1, 24))
        drawn = []
        for _ in range(2):
            moved = generator.normal(0, change_by_topic, (topics, 1, 1))
            moved = moved + generator.normal(0, change_by_topic, (topics, 3, 1))
            noise = generator.normal(size=(topics, 3, 24))
            drawn.append((ease + groups + moved + noise > 0).astype(float))
        return drawn

    def by_topic(generator: Generator) -> tuple[Sample, ...]:
        return tuple(sample(arm, topics) for arm in arms(generator))

    def by_group(generator: Generator) -> tuple[Sample, ...]:
        return tuple(sample(arm.transpose(0, 2, 1), topics * 24) for arm in arms(generator))

    return by_topic, by_group


@dataclass(frozen=True)
class Misreading:
    """How a parser errs on one stage's replies."""

    yes_as_no: float
    no_as_yes: float
    unread: float
    """Share of answers that it does not read."""
    invented: float
    """Share of replies without an answer that it takes for a yes."""


@dataclass(frozen=True)
class Labelled:
    """A study of two stages: true rates, the parser's errors on each, and how many items a person labels."""

    rates: tuple[float, float]
    errors: tuple[Misreading, Misreading]
    labels: int
    clusters: int = 200
    size: int = 5
    silent: tuple[float, float] = (0.05, 0.2)
    """Share of each stage's replies that hold no answer."""

    def draw(self, generator: Generator) -> tuple[LabelledSample, LabelledSample, LabelledSample]:
        """Both stages' levels, and the change from the first to the second, of one study."""
        shape = (self.clusters, self.size)
        shared = generator.normal(size=(self.clusters, 1))
        truth = [
            (shared + generator.normal(size=shape)) / np.sqrt(2) < norm.ppf(rate) for rate in self.rates
        ]  # fmt: skip
        answers = [generator.random(shape) >= share for share in self.silent]
        read = [_read(generator, *pair) for pair in zip(truth, answers, self.errors, strict=True)]
        chosen = np.zeros(self.clusters * self.size)
        chosen[generator.permutation(len(chosen))[: self.labels]] = len(chosen) / self.labels
        of = np.repeat(np.arange(self.clusters), self.size)
        arms = [
            _labelled(chosen, of, pair, (counted, values))
            for pair, (counted, values) in zip(zip(answers, truth, strict=True), read, strict=True)
        ]
        both, read_both = answers[0] & answers[1], read[0][0] & read[1][0]
        true_change, read_change = (1.0 * truth[1] - truth[0]), (1.0 * read[1][1] - read[0][1])
        return arms[0], arms[1], _labelled(chosen, of, (both, true_change), (read_both, read_change))


def _read(generator: Generator, truth: Any, answers: Any, errors: Misreading) -> tuple[Any, Any]:
    shape = truth.shape
    yes = np.where(truth, generator.random(shape) >= errors.yes_as_no, generator.random(shape) < errors.no_as_yes)
    counted = np.where(answers, generator.random(shape) >= errors.unread, generator.random(shape) < errors.invented)
    return counted.astype(bool), np.where(answers, yes, 1)


def _labelled(weights: Array, clusters: Any, truth: tuple[Any, Any], read: tuple[Any, Any]) -> LabelledSample:
    (counted, values), (read_counted, read_values) = (
        [(pair[0] * 1.0).ravel(), (pair[0] * 1.0 * pair[1]).ravel()] for pair in (truth, read)
    )
    known = weights > 0
    nothing = np.full(len(weights), np.nan)
    return LabelledSample(
        read_counted, read_values, nothing, clusters, int(clusters.max()) + 1, counted * known, values * known, weights
    )
