"""Intervals, swap tests and Holm's correction."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.stats.test_estimators import STATISTICS, sample_of
from trustdag.stats.resampling import (
    bootstrap_weights,
    estimate,
    holm,
    swap_test,
    swap_weights,
)


def mcnemar(first, second):
    """The exact two-sided p-value over the discordant pairs."""
    wins = sum(a > b for a, b in zip(first, second, strict=True))
    losses = sum(a < b for a, b in zip(first, second, strict=True))
    count = wins + losses
    tail = sum(comb(count, k) for k in range(min(wins, losses) + 1)) / 2**count
    return min(1.0, 2 * tail)


def test_every_resample_draws_as_many_clusters_as_there_are():
    weights = bootstrap_weights(37, 500, 0)

    assert weights.shape == (500, 37)
    assert (weights.sum(axis=1) == 37).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(37), abs=0.2)


def test_resamples_depend_on_the_seed_alone():
    first = bootstrap_weights(20, 200, 3).copy()
    bootstrap_weights.cache_clear()

    assert (bootstrap_weights(20, 200, 3) == first).all()
    assert (bootstrap_weights(20, 200, 4) != first).any()


def test_few_clusters_swap_in_every_way_once():
    swaps = swap_weights(5, 1000, 0)

    assert len({tuple(row) for row in swaps.tolist()}) == len(swaps) == 32


def test_the_replicates_of_a_mean_spread_as_theory_says():
    values = np.random.default_rng(0).normal(size=200)

    found = estimate("mean", sample_of(values), 4000, 0)

    assert found.value == pytest.approx(values.mean())
    assert found.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(200), rel=0.05)


def test_records_of_one_cluster_are_drawn_together():
    values = np.repeat([0.0, 1.0] * 10, 5)

    found = estimate("mean", sample_of(values, clusters=np.repeat(np.arange(20), 5)), 4000, 0)

    assert found.standard_error == pytest.approx(np.repeat([0, 1], 10).std(ddof=1) / np.sqrt(20), rel=0.05)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_an_interval_holds_its_estimate(statistic):
    generator = np.random.default_rng(2)
    labels = generator.integers(2, size=80)
    values = np.clip(labels * 0.3 + generator.random(80) * 0.7, 0, 1).round(2)

    found = estimate(statistic, sample_of(values, labels, np.arange(80) // 2), 1000, 0)
    low, high = found.interval(0.95)

    assert low < high
    # The plug-in calibration error is biased upwards, which the interval corrects for.
    assert low <= found.value <= high or statistic == "ece"


def test_a_higher_level_gives_a_wider_interval():
    found = estimate("mean", sample_of(np.random.default_rng(0).random(50)), 2000, 0)

    wide, narrow = found.interval(0.99), found.interval(0.8)

    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@pytest.mark.parametrize("values", [[0.4], [], [0.3, 0.3, 0.3]])
def test_where_no_spread_is_seen_there_is_no_interval(values):
    found = estimate("mean", sample_of(values), 200, 0)

    assert np.isnan(found.interval(0.95)).all()


def test_one_cluster_has_no_interval_however_many_records_it_holds():
    found = estimate("mean", sample_of([0, 1, 1, 0], clusters=[0, 0, 0, 0]), 200, 0)

    assert found.value == 0.5
    assert np.isnan(found.interval(0.95)).all()
    assert np.isnan(found.standard_error)


def test_a_statistic_that_most_resamples_leave_undefined_has_no_interval():
    found = estimate("auroc", sample_of([0.1, 0.2, 0.9], [0, 0, 1], [0, 0, 1]), 200, 0)

    assert found.value == 1.0
    assert np.isnan(found.interval(0.95)).all()


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=10))
def test_for_binary_single_items_the_swap_test_is_mcnemars_exact_test(pairs):
    first, second = zip(*pairs, strict=True)

    found = swap_test("mean", sample_of(first), sample_of(second), 2000, 0)

    assert found == pytest.approx(mcnemar(first, second))


def test_many_discordant_pairs_agree_with_mcnemar_as_well():
    first, second = [1] * 40 + [0] * 20 + [1] * 100, [0] * 40 + [1] * 20 + [1] * 100

    found = swap_test("mean", sample_of(first), sample_of(second), 50_000, 0)

    assert found == pytest.approx(mcnemar(first, second), rel=0.15)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_equal_arms_show_no_difference(statistic):
    arm = sample_of([0.2, 0.8, 0.4, 0.9], [0, 1, 0, 1])

    assert swap_test(statistic, arm, arm, 200, 0) == 1.0


def test_a_cluster_swaps_whole():
    # Two clusters that both rose: of 4 swaps, 2 are as extreme; ten single items would give 2 / 1024.
    ours, theirs = sample_of([1] * 10, clusters=[0] * 5 + [1] * 5), sample_of([0] * 10, clusters=[0] * 5 + [1] * 5)

    assert swap_test("mean", ours, theirs, 2000, 0) == 0.5


@pytest.mark.parametrize("statistic", ["mean", "auroc", "balanced_accuracy", "difference"])
def test_p_values_are_uniform_without_a_difference(statistic):
    generator = np.random.default_rng(5)
    p_values = []
    for _ in range(300):
        labels = np.arange(40) % 2
        arms = [generator.random(40) + 0.3 * labels for _ in range(2)]
        p_values.append(swap_test(statistic, *(sample_of(arm, labels, np.arange(40) // 2) for arm in arms), 200, 1))

    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.05)


def test_a_plain_difference_is_found():
    generator = np.random.default_rng(0)
    base = generator.random(100)

    assert swap_test("mean", sample_of(base + 0.2), sample_of(base), 1000, 0) == pytest.approx(1 / 1001)


def test_holm_against_a_worked_example():
    # Sorted: .005 * 4, .01 * 3, .03 * 2, .04 * 1, each at least as large as the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_out_what_was_not_tested():
    assert holm([0.02, float("nan"), 0.02]) == pytest.approx([0.04, float("nan"), 0.04], nan_ok=True)
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_never_helps(p_values):
    corrected = holm(p_values)

    assert all(new >= old for new, old in zip(corrected, p_values, strict=True))
    assert max(corrected) <= 1
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()
