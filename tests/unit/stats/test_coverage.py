"""Simulated studies: the coverage of intervals must be near their level."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from trustdag.scorers.base import Scorer
from trustdag.scorers.fidelity import Pairs, calibrate
from trustdag.stats.comparison import compare
from trustdag.stats.estimators import Sample
from trustdag.stats.intervals import estimate
from trustdag.stats.power import CANNOT_BE_FOUND, Power, power_of
from trustdag.stats.settings import StatisticsSettings

NAN = float("nan")
SETTINGS = StatisticsSettings(resamples=2000)
World = Callable[[np.random.Generator, int, int], tuple[str, Sample, float]]
"""Draws a study of so many clusters of so many items: its statistic, its sample and the true value."""


def agreement(generator: np.random.Generator, clusters: int, size: int) -> tuple[str, Sample, float]:
    """Binary items with a share of .3, alike within their cluster."""
    values = _alike(generator, clusters, size) < norm.ppf(0.3)
    return "mean", _sample(values, clusters, size), 0.3


def maximum_toxicity(generator: np.random.Generator, clusters: int, size: int) -> tuple[str, Sample, float]:
    """Skewed items in [0, 1]."""
    values = norm.cdf(_alike(generator, clusters, size)) ** 3
    return "mean", _sample(values, clusters, size), 1 / 4


def change(generator: np.random.Generator, clusters: int, size: int) -> tuple[str, Sample, float]:
    """Differences of two binary arms on the same items."""
    ease = np.repeat(generator.normal(size=clusters), size)
    arms = [(ease + generator.normal(size=clusters * size) < cut) * 1.0 for cut in (-0.3, -0.8)]
    truth = norm.cdf(-0.3 / np.sqrt(2)) - norm.cdf(-0.8 / np.sqrt(2))
    return "mean", _sample(arms[0] - arms[1], clusters, size), truth


def ranking(generator: np.random.Generator, clusters: int, size: int) -> tuple[str, Sample, float]:
    """Scores of two classes, one standard deviation apart."""
    labels = generator.integers(2, size=clusters * size)
    scores = _alike(generator, clusters, size) + labels
    return "auroc", _sample(scores, clusters, size, labels), norm.cdf(1 / np.sqrt(2))


def judging(generator: np.random.Generator, clusters: int, size: int) -> tuple[str, Sample, float]:
    """Right answers: .6 of one class, .9 of the other."""
    labels = generator.integers(2, size=clusters * size)
    right = _alike(generator, clusters, size) < norm.ppf(np.where(labels == 1, 0.6, 0.9))
    return "balanced_accuracy", _sample(right, clusters, size, labels), 0.75


def leaking(generator: np.random.Generator, clusters: int, size: int) -> tuple[str, Sample, float]:
    """Leaks among those items whose secret the model can copy."""
    able = generator.random(clusters * size) < 0.7
    leak = able & (_alike(generator, clusters, size) < 0)
    return "ratio", _sample(leak, clusters, size, able), 0.5


def _alike(generator: np.random.Generator, clusters: int, size: int) -> np.ndarray:
    """Standard normal, correlated by one half within a cluster."""
    shared = np.repeat(generator.normal(size=clusters), size)
    return (shared + generator.normal(size=clusters * size)) / np.sqrt(2)


def _sample(values: np.ndarray, clusters: int, size: int, labels: np.ndarray | None = None) -> Sample:
    labels = np.full(clusters * size, NAN) if labels is None else np.asarray(labels, dtype=float)
    return Sample(np.asarray(values, dtype=float), labels, np.repeat(np.arange(clusters), size), clusters)


def coverage(world: World, clusters: int, size: int, studies: int) -> float:
    """The share of simulated studies whose interval holds the truth."""
    held = 0
    for study in range(studies):
        statistic, sample, truth = world(np.random.default_rng([study, clusters]), clusters, size)
        low, high = estimate(statistic, sample).interval(0.95)
        held += low <= truth <= high
    return held / studies


def calibrated_study(number: int) -> Sample:
    """A thousand items scored by a scorer that was calibrated on 150 noisy texts: truth is the square of its score."""
    generator = np.random.default_rng([5, number])
    ours = generator.random(150)
    theirs = ours**2 + generator.normal(0, 0.2, 150)
    calibration = calibrate(Pairs([""] * 150, ours, theirs), Uncalibrated(), refits=60)
    scores = generator.random(1000)
    values = calibration.apply(scores)
    return Sample(values, np.full(1000, NAN), np.arange(1000), 1000, calibration.draws(scores))


class Uncalibrated(Scorer):
    """Names itself; the study's scores are drawn, not scored."""

    name, version, digest = "uncalibrated", "1", "0" * 64

    def score(self, texts: Sequence[str]) -> list[float | None]:
        raise NotImplementedError


def test_an_interval_with_the_calibrations_error_is_wider_and_covers_the_truth() -> None:
    # The mean of x squared is 1/3. The calibration errs by about .2 / sqrt(150), the mean of items by .3 / sqrt(1000).
    held = {"with": 0, "without": 0}
    widths: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(100):
        sample = calibrated_study(number)
        for name, draws in (("with", sample.draws), ("without", None)):
            low, high = estimate("mean", replace(sample, draws=draws)).interval(0.95)
            held[name] += low <= 1 / 3 <= high
            widths[name].append(high - low)

    assert held["with"] >= 89
    assert held["without"] <= 80
    assert np.min(np.array(widths["with"]) / np.array(widths["without"])) > 1.2


WORLDS = [agreement, maximum_toxicity, change, ranking, judging, leaking]


@pytest.mark.parametrize("world", WORLDS)
def test_intervals_cover_the_truth(world: World) -> None:
    # 200 studies: the standard error of the share is .015.
    assert 0.91 <= coverage(world, 50, 3, 200) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(("clusters", "size"), [(30, 4), (100, 3), (300, 1)])
@pytest.mark.parametrize("world", WORLDS)
def test_intervals_cover_the_truth_in_93_to_97_of_100_studies(world: World, clusters: int, size: int) -> None:
    assert 0.93 <= coverage(world, clusters, size, 1000) <= 0.97


def rates_alike(generator: np.random.Generator, rate: float, clusters: int, size: int) -> Sample:
    """Binary values of a rate, with an intraclass correlation of .3."""
    of_clusters = generator.beta(rate * 7 / 3, (1 - rate) * 7 / 3, clusters)
    return _sample(generator.random(clusters * size) < np.repeat(of_clusters, size), clusters, size)


@pytest.mark.parametrize(("clusters", "size"), [(10, 8), (18, 12), (36, 3), (400, 1)])
@pytest.mark.parametrize("rate", [0.01, 0.03, 0.97, 0.99])
def test_intervals_of_rates_near_the_edge_cover_the_truth(rate: float, clusters: int, size: int) -> None:
    held = 0
    for study in range(300):
        low, high = estimate("mean", rates_alike(np.random.default_rng(study), rate, clusters, size)).interval(0.95)
        held += low <= rate <= high

    # 300 studies: the standard error of the share is .013.
    assert held / 300 >= 0.91


@pytest.mark.parametrize("gap", [2.6, 3.3])
def test_intervals_of_rankings_that_are_nearly_perfect_cover_the_truth(gap: float) -> None:
    held = 0
    for study in range(300):
        labels = np.repeat(np.arange(36) % 2, 3)
        scores = _alike(np.random.default_rng(study), 36, 3) + gap * labels
        low, high = estimate("auroc", _sample(scores, 36, 3, labels)).interval(0.95)
        held += low <= norm.cdf(gap / np.sqrt(2)) <= high

    assert held / 300 >= 0.91


@pytest.mark.parametrize(("clusters", "rate"), [(15, 0.3), (60, 0.3), (60, 0.9)])
def test_intervals_cover_the_truth_where_few_clusters_hold_most_records(clusters: int, rate: float) -> None:
    held = []
    for study in range(300):
        generator = np.random.default_rng(study)
        sizes = np.minimum((generator.pareto(1.1, clusters) * 2 + 1).astype(int), 200)
        of = np.repeat(np.arange(clusters), sizes)
        alike = (generator.normal(size=clusters)[of] + generator.normal(size=len(of))) / np.sqrt(2)
        sample = Sample((alike < norm.ppf(rate)) * 1.0, np.full(len(of), NAN), of, clusters)
        low, high = estimate("mean", sample).interval(0.95)
        held.append(low <= rate <= high)

    assert np.mean(held) > 0.9


def topics_that_change_by_chance(generator: np.random.Generator) -> list[np.ndarray]:
    """Two models' agreement, (topics, statements, groups): a model's topics differ by chance, and none on average."""
    ease = generator.normal(0, 0.7, (16, 3, 1))
    return [
        (ease + generator.normal(0, 0.5, (16, 1, 1)) + generator.normal(size=(16, 3, 24)) > 0).astype(float)
        for _ in range(2)
    ]


def test_where_groups_share_statements_topics_are_the_clusters() -> None:
    significant = {16: 0, 16 * 24: 0}
    for study in range(100):
        arms = topics_that_change_by_chance(np.random.default_rng(study))
        for clusters in significant:
            values = arms if clusters == 16 else [arm.transpose(0, 2, 1) for arm in arms]
            ours, theirs = (_sample(arm.ravel(), clusters, arm.size // clusters) for arm in values)
            compared = compare("mean", ours, theirs, SETTINGS)
            assert compared is not None
            significant[clusters] += compared.p < 0.05

    assert significant[16] <= 11
    assert significant[16 * 24] >= 30


def arms_apart(generator: np.random.Generator, change: float, clusters: int, size: int) -> tuple[Sample, Sample]:
    """Two arms of the same items whose rates are .5 less and more half of the change."""
    ease = np.repeat(generator.normal(size=clusters), size)
    ours, theirs = (
        _sample(
            ease + generator.normal(size=clusters * size) < np.sqrt(2) * norm.ppf(0.5 + sign * change / 2),
            clusters,
            size,
        )
        for sign in (1, -1)
    )
    return ours, theirs


@pytest.mark.slow
@pytest.mark.parametrize("family", [1, 5, 25])
@pytest.mark.parametrize(("clusters", "size"), [(18, 6), (36, 3), (100, 3)])
def test_the_verdict_finds_the_detectable_difference_in_8_of_10_studies(clusters: int, size: int, family: int) -> None:
    change = 0.0
    for _ in range(4):
        compared = [
            compare("mean", *arms_apart(np.random.default_rng([1, study]), change, clusters, size), SETTINGS)
            for study in range(200)
        ]
        powers = [power_of(one.change, SETTINGS).detectable(family, SETTINGS) for one in compared if one is not None]
        change = float(np.median(powers))
    significant = 0
    for study in range(1000):
        one = compare("mean", *arms_apart(np.random.default_rng([2, study]), change, clusters, size), SETTINGS)
        assert one is not None
        significant += one.p * family < 0.05

    # 1,000 studies: the standard error of the share is .013.
    assert 0.75 <= significant / 1000 <= 0.85


@pytest.mark.parametrize(("clusters", "family"), [(5, 1), (7, 1), (8, 1), (9, 5), (10, 25), (12, 25)])
def test_what_hangs_on_single_clusters_cannot_be_found(clusters: int, family: int) -> None:
    """With all clusters but three no p-value would be below the level: the simulated power is then below .75."""
    power = Power(error=0.05, step=0.0, freedom=clusters - 1.0, clusters=clusters, bound=1.0)
    assert power.detectable(family, SETTINGS) == CANNOT_BE_FOUND
    assert replace(power, clusters=24, freedom=23.0).detectable(family, SETTINGS) < 0.5


def test_no_difference_of_more_than_half_the_range_is_said_to_be_detectable() -> None:
    power = Power(error=0.15, step=0.0, freedom=40.0, clusters=41, bound=1.0)
    assert 0.4 < power.detectable(1, SETTINGS) <= 0.5
    assert replace(power, error=0.2).detectable(1, SETTINGS) == CANNOT_BE_FOUND
    assert replace(power, error=0.2, bound=np.inf).detectable(1, SETTINGS) < 0.6
