"""The test by sign flips, its agreement with the interval, and Holm's correction."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.stats.test_estimators import STATISTICS, sample_of
from trustdag.stats.comparison import LEAST_PAIRS, compare
from trustdag.stats.estimators import Sample
from trustdag.stats.intervals import difference
from trustdag.stats.resampling import flip_test, flips, holm, least_p
from trustdag.stats.settings import StatisticsSettings

SETTINGS = StatisticsSettings(resamples=2000)
NAN = float("nan")


def p_of(statistic: str, ours: Sample, theirs: Sample, resamples: int = 2000) -> float:
    return flip_test(difference(statistic, ours, theirs), resamples, 0)


def mcnemar(first: tuple[int, ...], second: tuple[int, ...]) -> float:
    """The exact two-sided p-value over the discordant pairs."""
    wins = sum(a > b for a, b in zip(first, second, strict=True))
    losses = sum(a < b for a, b in zip(first, second, strict=True))
    count = wins + losses
    tail = sum(comb(count, k) for k in range(min(wins, losses) + 1)) / 2**count
    return min(1.0, 2 * tail)


def test_few_clusters_flip_in_every_way_once() -> None:
    rows = np.concatenate(list(flips(5, 1000, 0)))

    assert len({tuple(row) for row in rows.tolist()}) == len(rows) == 32


def test_many_clusters_flip_at_random_by_the_seed_alone() -> None:
    first, again, other = (np.concatenate(list(flips(37, 500, seed))) for seed in (0, 0, 1))

    assert first.shape == (500, 37)
    assert (first == again).all()
    assert (first != other).any()
    assert first.mean(axis=0) == pytest.approx(np.full(37, 0.5), abs=0.1)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=10))
def test_for_binary_single_items_the_test_is_mcnemars_exact_test(pairs: list[tuple[int, int]]) -> None:
    first, second = zip(*pairs, strict=True)

    assert p_of("mean", sample_of(first), sample_of(second)) == pytest.approx(mcnemar(first, second))


@given(st.lists(st.tuples(*[st.integers(0, 1)] * 4), min_size=LEAST_PAIRS, max_size=20))
def test_a_conditional_metric_has_mcnemars_test_over_the_items_that_both_arms_count(
    items: list[tuple[int, int, int, int]],
) -> None:
    able, other_able, told, other_told = (np.array(column) for column in zip(*items, strict=True))
    both = (able & other_able) == 1

    comparison = compare(
        "ratio", sample_of(able & told, able), sample_of(other_able & other_told, other_able), SETTINGS
    )

    if both.sum() < LEAST_PAIRS:
        assert comparison is None
    else:
        assert comparison is not None
        assert comparison.pairs == both.sum()
        assert comparison.p == pytest.approx(mcnemar(tuple(told[both]), tuple(other_told[both])), abs=0.05)


def test_many_discordant_pairs_agree_with_mcnemar_as_well() -> None:
    first, second = (1,) * 40 + (0,) * 20 + (1,) * 100, (0,) * 40 + (1,) * 20 + (1,) * 100

    assert p_of("mean", sample_of(first), sample_of(second), 50_000) == pytest.approx(mcnemar(first, second), rel=0.15)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_equal_arms_show_no_difference(statistic: str) -> None:
    arm = sample_of([0.2, 0.8, 0.4, 0.9], [0, 1, 0, 1])

    assert p_of(statistic, arm, arm) == 1.0


def test_a_cluster_flips_whole() -> None:
    # Two clusters that both rose: of 4 flips, 2 are as extreme; ten single items would give 2 / 1024.
    ours, theirs = sample_of([1] * 10, clusters=[0] * 5 + [1] * 5), sample_of([0] * 10, clusters=[0] * 5 + [1] * 5)

    assert p_of("mean", ours, theirs) == 0.5


def test_an_index_is_found_to_change_although_agreement_with_everything_rose() -> None:
    # Given unequal clusters; agreement with stereotypes rises from .16 to .95, with their opposites from .02 to .95.
    significant = []
    for study in range(100):
        generator = np.random.default_rng(study)
        sizes = generator.binomial([[6, 6]] * 36, [[0.46, 0.34]] * 36)
        labels = np.concatenate([[1] * many + [0] * few for many, few in sizes])
        clusters = np.repeat(np.arange(36), sizes.sum(axis=1))
        before, after = (
            sample_of(generator.random(len(labels)) < np.where(labels == 1, *rates), labels, clusters)
            for rates in ((0.16, 0.02), (0.95, 0.95))
        )
        significant.append(p_of("difference", before, after, 500) < 0.05)

    assert np.mean(significant) > 0.6


@pytest.mark.parametrize("statistic", ["balanced_accuracy", "difference"])
def test_a_class_of_three_clusters_seldom_shows_a_change_that_is_none(statistic: str) -> None:
    # Given 30 clusters, three of them of class 1, and arms that are drawn alike.
    labels = (np.arange(30) % 10 == 0) * 1.0
    found = []
    for study in range(400):
        arms = np.random.default_rng(study).random((2, 30)) < 0.6
        compared = compare(statistic, sample_of(arms[0], labels), sample_of(arms[1], labels), SETTINGS)
        assert compared is not None
        found.append(compared.p < 0.05)

    assert np.mean(found) < 0.06


def test_a_limit_that_the_test_moves_across_0_passes_no_plausible_change() -> None:
    # Given an arm of half of the other's scores, of which most are near 0: each cluster falls, very differently.
    held = []
    for study in range(200):
        generator = np.random.default_rng(study)
        toxic = np.clip(generator.beta(0.06, 1.94, (18, 1, 1)), 1e-3, 1 - 1e-3) * 3
        scores = generator.beta(toxic, 3 - toxic, (18, 3, 5)).max(axis=2).ravel()
        of = np.repeat(np.arange(18), 3)
        compared = compare("mean", sample_of(scores, clusters=of), sample_of(scores / 2, clusters=of), SETTINGS)
        assert compared is not None
        held.append(compared.interval[0] <= 0.033 <= compared.interval[1])

    assert np.mean(held) > 0.93


@pytest.mark.parametrize(("shift", "scale"), [(0, 1), (4, 1), (0, 10)])
def test_a_ranking_is_compared_by_ranks_alone(shift: float, scale: float) -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(90) % 2
    ours, theirs = (labels * gap + generator.normal(size=90) for gap in (0.6, 1.9))

    moved = p_of("auroc", sample_of(ours, labels), sample_of(shift + scale * theirs, labels))

    assert moved == p_of("auroc", sample_of(ours, labels), sample_of(theirs, labels)) < 0.05


@pytest.mark.parametrize(("able", "other_able"), [(0.7, 0.7), (0.3, 0.9), (0.5, 0.9)])
def test_a_conditional_metric_seldom_changes_where_only_the_condition_does(able: float, other_able: float) -> None:
    significant = []
    for study in range(200):
        generator = np.random.default_rng(study)
        arms = []
        for share in (able, other_able):
            counted = generator.random(72) < share
            arms.append(sample_of(counted & (generator.random(72) < 0.5), counted))
        compared = compare("ratio", arms[0], arms[1], SETTINGS)
        significant.append(compared is not None and compared.p < 0.05)

    assert np.mean(significant) < 0.08


@pytest.mark.parametrize("statistic", ["mean", "auroc", "balanced_accuracy", "difference"])
def test_p_values_are_uniform_without_a_difference(statistic: str) -> None:
    generator = np.random.default_rng(5)
    p_values = []
    for _ in range(300):
        labels = np.arange(40) % 2
        ours, theirs = (
            sample_of(generator.random(40) * 0.7 + 0.3 * labels, labels, np.arange(40) // 2) for _ in range(2)
        )
        p_values.append(p_of(statistic, ours, theirs, 200))

    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("statistic", STATISTICS)
@given(seed=st.integers(0, 10_000), count=st.integers(4, 30), shift=st.floats(-0.5, 0.5))
def test_interval_and_test_never_contradict_each_other(statistic: str, seed: int, count: int, shift: float) -> None:
    generator = np.random.default_rng(seed)
    labels = np.arange(3 * count) % 2
    ours, theirs = (
        sample_of((generator.random(3 * count) < 0.5 + move).astype(float), labels, np.arange(3 * count) // 3)
        for move in (shift, 0.0)
    )

    comparison = compare(statistic, ours, theirs, SETTINGS)

    if comparison is not None and np.isfinite(comparison.p):
        low, high = comparison.interval
        assert (comparison.p < 0.05) == (not low <= 0 <= high)
        assert low <= comparison.change.value <= high


def test_the_least_p_value_is_that_of_one_way_to_flip_and_its_mirror() -> None:
    assert least_p(5, 2000) == 2 / 32
    assert least_p(40, 999) == 1 / 1000
    assert least_p(20_000, 999) == 1 / 1000


def test_holm_against_a_worked_example() -> None:
    # Sorted: .005 * 4, .01 * 3, .03 * 2, .04 * 1, each at least as large as the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_out_what_was_not_tested() -> None:
    assert holm([0.01, NAN, 0.04]) == pytest.approx([0.02, NAN, 0.04], nan_ok=True)
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_never_helps(p_values: list[float]) -> None:
    corrected = holm(p_values)

    assert all(new >= old for new, old in zip(corrected, p_values, strict=True))
    assert max(corrected) <= 1
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()
