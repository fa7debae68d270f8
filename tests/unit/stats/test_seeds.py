"""The mean over training seeds: its interval holds the chance of the seeds and of the items."""

import numpy as np
import pytest

from tests.unit.stats.test_estimators import sample_of
from trustdag.stats.resampling import estimate
from trustdag.stats.seeds import over_seeds


def seeds_of(generator, seeds, items, seed_sd, item_sd, noise_sd):
    """Estimates for each seed of one simulated study whose true mean is 0."""
    of_items = item_sd * generator.normal(size=items)
    return [
        estimate(
            "mean", sample_of(of_items + seed_sd * generator.normal() + noise_sd * generator.normal(size=items)), 300, 7
        )
        for _ in range(seeds)
    ]


def test_equal_seeds_have_the_interval_of_the_items_alone():
    values = np.random.default_rng(0).normal(size=100)
    one = estimate("mean", sample_of(values), 2000, 0)

    found = over_seeds([one, one, one], 0.95)

    assert found["value"] == pytest.approx(values.mean())
    assert found["seed_deviation"] == 0
    assert found["standard_error"] == pytest.approx(one.standard_error, rel=1e-9)
    assert found["seeds"] == 3


def test_seeds_that_differ_have_a_wider_interval_than_their_items_alone():
    generator = np.random.default_rng(0)
    base = generator.normal(size=100)
    estimates = [estimate("mean", sample_of(base + shift), 500, 0) for shift in (-2.0, 0.0, 2.0)]

    found = over_seeds(estimates, 0.95)

    assert found["seed_deviation"] == pytest.approx(2.0)
    assert found["standard_error"] == pytest.approx(np.sqrt(4 / 3 + estimates[0].standard_error ** 2), rel=1e-6)
    # Two degrees of freedom: t is 4.30.
    assert found["high"] - found["low"] == pytest.approx(2 * 4.30 * found["standard_error"], rel=0.02)


def test_an_undefined_seed_leaves_the_mean_undefined():
    good, empty = estimate("mean", sample_of([0, 1, 1]), 200, 0), estimate("mean", sample_of([]), 200, 0)

    found = over_seeds([good, empty], 0.95)

    assert np.isnan(found["value"])
    assert np.isnan(found["low"])


@pytest.mark.parametrize(("seed_sd", "item_sd", "noise_sd"), [(0, 1, 1), (0.3, 1, 0.5), (0.5, 0.2, 1), (0.0, 0.0, 1)])
def test_intervals_cover_the_truth_whatever_the_source_of_chance(seed_sd, item_sd, noise_sd):
    generator = np.random.default_rng(3)
    covered = []
    for _ in range(300):
        found = over_seeds(seeds_of(generator, 5, 40, seed_sd, item_sd, noise_sd), 0.95)
        covered.append(found["low"] <= 0 <= found["high"])

    assert 0.92 <= np.mean(covered) <= 0.995
