"""The mean over training seeds: its interval includes the variance of seeds and of items."""

from typing import Any

import numpy as np
import pytest

from tests.unit.stats.test_estimators import sample_of
from trustdag.stats.intervals import Estimate, difference, estimate
from trustdag.stats.seeds import over_seeds, seed_deviation


def seeds_of(
    generator: np.random.Generator, seeds: int, items: int, seed_sd: float, item_sd: float, noise_sd: float
) -> list[Estimate]:
    """Estimates for each seed of one simulated study whose true mean is 0."""
    of_items = item_sd * generator.normal(size=items)
    return [
        estimate("mean", sample_of(of_items + seed_sd * generator.normal() + noise_sd * generator.normal(size=items)))
        for _ in range(seeds)
    ]


@pytest.mark.parametrize("values", [np.random.default_rng(0).normal(size=100), np.ones(36), np.arange(40) % 2])
def test_equal_seeds_have_the_interval_of_one_seed(values: Any) -> None:
    one = estimate("mean", sample_of(values))

    pooled = over_seeds([one, one, one])

    assert pooled.value == pytest.approx(one.value)
    assert pooled.standard_error == pytest.approx(one.standard_error, rel=1e-9)
    assert pooled.interval(0.95) == pytest.approx(one.interval(0.95), rel=1e-6)


def test_changes_that_are_equal_over_seeds_have_the_interval_of_one_seed() -> None:
    arm = sample_of(np.arange(36) % 2)
    change = difference("mean", arm, arm)

    low, high = over_seeds([change, change]).interval(0.95)

    assert (low, high) == pytest.approx(change.interval(0.95))
    assert low < 0 < high


def test_seeds_that_differ_have_a_wider_interval_than_their_items_alone() -> None:
    generator = np.random.default_rng(0)
    base = generator.normal(size=100)
    estimates = [estimate("mean", sample_of(base + shift)) for shift in (-2.0, 0.0, 2.0)]

    pooled = over_seeds(estimates)
    low, high = pooled.interval(0.95)

    assert seed_deviation(estimates) == pytest.approx(2.0)
    assert pooled.standard_error == pytest.approx(np.sqrt(4 / 3 + estimates[0].standard_error ** 2), rel=1e-6)
    # Two degrees of freedom: t is 4.30.
    assert high - low == pytest.approx(2 * 4.30 * pooled.standard_error, rel=0.02)


def test_an_undefined_seed_leaves_the_mean_undefined() -> None:
    nothing = np.zeros(3, dtype=bool)

    pooled = over_seeds([estimate("mean", sample_of([0, 1, 1])), estimate("mean", sample_of([0, 1, 1]).only(nothing))])

    assert np.isnan(pooled.value)
    assert np.isnan(pooled.interval(0.95)).all()


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_near_1_the_interval_stays_within_the_range_and_covers_the_truth(seeds: int) -> None:
    # Given rates that differ between seeds, .952 on average.
    generator = np.random.default_rng(5)
    covered, highest = [], 0.0
    for _ in range(200):
        rates = generator.beta(30, 1.5, seeds)
        estimates = [
            estimate("mean", sample_of(generator.random(108) < rate, clusters=np.arange(108) // 3)) for rate in rates
        ]
        low, high = over_seeds(estimates).interval(0.95)
        covered.append(low <= 30 / 31.5 <= high)
        highest = max(highest, high)

    assert np.mean(covered) > 0.9
    assert highest <= 1


@pytest.mark.parametrize(("seed_sd", "item_sd", "noise_sd"), [(0, 1, 1), (0.3, 1, 0.5), (0.5, 0.2, 1), (0.0, 0.0, 1)])
@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_cover_the_truth_whatever_the_source_of_chance(
    seeds: int, seed_sd: float, item_sd: float, noise_sd: float
) -> None:
    generator = np.random.default_rng(3)
    covered = []
    for _ in range(300):
        low, high = over_seeds(seeds_of(generator, seeds, 40, seed_sd, item_sd, noise_sd)).interval(0.95)
        covered.append(low <= 0 <= high)

    assert 0.92 <= np.mean(covered) <= 0.995
