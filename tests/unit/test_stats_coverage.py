"""Simulated studies: intervals must hold the truth about as often as they say."""

import numpy as np
import pytest
from scipy.stats import norm

from trustdag.stats.estimators import Sample
from trustdag.stats.resampling import estimate

NAN = float("nan")


def agreement(generator, clusters, size):
    """Binary items with a share of .3, alike within their cluster."""
    values = _alike(generator, clusters, size) < norm.ppf(0.3)
    return "mean", _sample(values, clusters, size), 0.3


def maximum_toxicity(generator, clusters, size):
    """Skewed items in [0, 1]."""
    values = norm.cdf(_alike(generator, clusters, size)) ** 3
    return "mean", _sample(values, clusters, size), 1 / 4


def change(generator, clusters, size):
    """Differences of two binary arms on the same items."""
    ease = np.repeat(generator.normal(size=clusters), size)
    arms = [(ease + generator.normal(size=clusters * size) < cut) * 1.0 for cut in (-0.3, -0.8)]
    truth = norm.cdf(-0.3 / np.sqrt(2)) - norm.cdf(-0.8 / np.sqrt(2))
    return "mean", _sample(arms[0] - arms[1], clusters, size), truth


def ranking(generator, clusters, size):
    """Scores of two classes, one standard deviation apart."""
    labels = generator.integers(2, size=clusters * size)
    scores = _alike(generator, clusters, size) + labels
    return "auroc", _sample(scores, clusters, size, labels), norm.cdf(1 / np.sqrt(2))


def judging(generator, clusters, size):
    """Right answers: .6 of one class, .9 of the other."""
    labels = generator.integers(2, size=clusters * size)
    right = _alike(generator, clusters, size) < norm.ppf(np.where(labels == 1, 0.6, 0.9))
    return "balanced_accuracy", _sample(right, clusters, size, labels), 0.75


def leaking(generator, clusters, size):
    """Leaks among those items whose secret the model can copy."""
    able = generator.random(clusters * size) < 0.7
    leak = able & (_alike(generator, clusters, size) < 0)
    return "ratio", _sample(leak, clusters, size, able), 0.5


def _alike(generator, clusters, size):
    """Standard normal, correlated by one half within a cluster."""
    shared = np.repeat(generator.normal(size=clusters), size)
    return (shared + generator.normal(size=clusters * size)) / np.sqrt(2)


def _sample(values, clusters, size, labels=None):
    labels = np.full(clusters * size, NAN) if labels is None else np.asarray(labels, dtype=float)
    return Sample(np.asarray(values, dtype=float), labels, np.repeat(np.arange(clusters), size), clusters)


def coverage(world, clusters, size, studies, resamples):
    """The share of simulated studies whose interval holds the truth."""
    held = 0
    for study in range(studies):
        statistic, sample, truth = world(np.random.default_rng([study, clusters]), clusters, size)
        low, high = estimate(statistic, sample, resamples, study).interval(0.95)
        held += low <= truth <= high
    return held / studies


WORLDS = [agreement, maximum_toxicity, change, ranking, judging, leaking]


@pytest.mark.parametrize("world", WORLDS)
def test_intervals_cover_the_truth(world):
    # 200 studies: the standard error of the share is .015.
    assert 0.91 <= coverage(world, 50, 3, 200, 400) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(("clusters", "size"), [(30, 4), (100, 3), (300, 1)])
@pytest.mark.parametrize("world", WORLDS)
def test_intervals_cover_the_truth_in_93_to_97_of_100_studies(world, clusters, size):
    assert 0.93 <= coverage(world, clusters, size, 1000, 1000) <= 0.97
