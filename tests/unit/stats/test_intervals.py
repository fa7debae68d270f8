"""Intervals: known answers, and what must hold of every one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.stats.test_estimators import STATISTICS, sample_of
from trustdag.stats.estimators import Sample
from trustdag.stats.intervals import difference, estimate

T = 2.093024
"""Student's t for 95 % with 19 degrees of freedom."""
MARGIN = T**2 / (20 + T**2)
"""The score interval's upper limit for 0 of 20."""


def clustered(count: int, events: int, size: int) -> Sample:
    """`events` ones in `count` clusters of `size`, each in another cluster."""
    values = np.zeros((count, size))
    values[:events, 0] = 1
    return sample_of(values.ravel(), clusters=np.repeat(np.arange(count), size))


@pytest.mark.parametrize(
    ("statistic", "values", "labels", "expected"),
    [
        ("mean", [0] * 20, None, (0, MARGIN)),
        ("mean", [1] * 20, None, (1 - MARGIN, 1)),
        # Only the 20 that are able count; what the others did does not.
        ("ratio", [0] * 30, [1] * 20 + [0] * 10, (0, MARGIN)),
    ],
)
def test_a_score_of_none_or_all_has_a_score_interval(
    statistic: str, values: list[int], labels: list[int] | None, expected: tuple[float, float]
) -> None:
    assert estimate(statistic, sample_of(values, labels)).interval(0.95) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("statistic", ["auroc", "balanced_accuracy", "difference"])
def test_a_perfect_score_of_two_classes_has_an_interval(statistic: str) -> None:
    labels = np.arange(40) % 2
    right = np.ones(40) if statistic == "balanced_accuracy" else labels

    low, high = estimate(statistic, sample_of(right, labels)).interval(0.95)

    assert 0.6 < low < 0.9
    assert high == 1


def test_many_independent_binary_records_have_wilsons_interval() -> None:
    interval = estimate("mean", sample_of([1] * 300 + [0] * 700)).interval(0.95)

    # Wilson 1927 for 300 of 1000, t for the normal quantile.
    assert interval == pytest.approx((0.2724, 0.3291), abs=2e-4)


def test_the_standard_error_of_a_mean_is_that_of_its_clusters_means() -> None:
    values = np.random.default_rng(0).random(100)

    estimated = estimate("mean", sample_of(values, clusters=np.repeat(np.arange(20), 5)))

    assert estimated.standard_error == pytest.approx(values.reshape(20, 5).mean(axis=1).std(ddof=1) / np.sqrt(20))
    assert estimated.clusters == 20


def test_records_of_one_cluster_are_one_trial() -> None:
    many = estimate("mean", sample_of([0] * 40, clusters=np.repeat(np.arange(20), 2)))

    assert many.interval(0.95) == pytest.approx((0, MARGIN), abs=1e-6)


@pytest.mark.parametrize(("clusters", "size"), [(36, 3), (18, 12), (10, 8), (100, 1), (50, 4), (400, 2)])
def test_seeing_an_event_never_makes_it_look_rarer(clusters: int, size: int) -> None:
    # Each event in a cluster of its own, up to one in each but one.
    limits = [estimate("mean", clustered(clusters, events, size)).interval(0.95) for events in range(clusters - 1)]

    assert np.diff([high for _, high in limits]).min() > -5e-4
    assert np.diff([low for low, _ in limits]).min() > -1e-9


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=40))
def test_limits_lie_in_the_range_around_the_value(pairs: list[tuple[int, int]]) -> None:
    ours, theirs = (sample_of(arm) for arm in zip(*pairs, strict=True))

    for estimated, least in ((estimate("mean", ours), 0), (difference("mean", ours, theirs), -1)):
        low, high = estimated.interval(0.95)
        assert least <= low <= estimated.value <= high <= 1
        assert low < high


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_higher_level_gives_a_wider_interval(statistic: str) -> None:
    generator = np.random.default_rng(2)
    labels = generator.integers(2, size=80)
    estimated = estimate(statistic, sample_of(np.clip(labels * 0.3 + generator.random(80) * 0.7, 0, 1), labels))

    wide, narrow = estimated.interval(0.99), estimated.interval(0.8)

    assert wide[0] < narrow[0] < estimated.value < narrow[1] < wide[1]


def test_arms_that_never_differ_may_differ_where_nobody_looked() -> None:
    arm = sample_of([0, 1] * 10)

    assert difference("mean", arm, arm).interval(0.95) == pytest.approx((-MARGIN, MARGIN), abs=1e-6)


def test_one_cluster_has_no_interval_however_many_records_it_holds() -> None:
    estimated = estimate("mean", sample_of([0, 1, 1, 0], clusters=[0, 0, 0, 0]))

    assert estimated.value == 0.5
    assert np.isnan(estimated.interval(0.95)).all()


@pytest.mark.parametrize("values", [[3.0, 5.0, 4.0, 8.0], [-1.0, 2.0, 0.5, 1.0]])
def test_a_mean_that_is_no_rate_has_students_interval(values: list[float]) -> None:
    estimated = estimate("mean", sample_of(values))

    margin = 3.182446 * np.std(values, ddof=1) / 2
    assert estimated.interval(0.95) == pytest.approx((np.mean(values) - margin, np.mean(values) + margin), abs=1e-5)


@given(seed=st.integers(0, 500))
def test_the_p_value_is_where_the_interval_meets_0(seed: int) -> None:
    generator = np.random.default_rng(seed)
    ours, theirs = (sample_of(generator.integers(2, size=30)) for _ in range(2))
    change = difference("mean", ours, theirs)

    p = change.p_value()

    for level, holds in ((1 - p - 0.01, False), (1 - p + 0.01, True)):
        if 0 < level < 1 and change.value != 0:
            low, high = change.interval(level)
            assert (low <= 0 <= high) == holds


def test_a_calibrations_refits_widen_the_interval_and_cancel_in_a_difference() -> None:
    # Given refits that shift every value alike.
    generator = np.random.default_rng(0)
    values = generator.uniform(0.3, 0.6, 40)
    shifts = np.array([-0.1, 0.0, 0.1])
    plain = [Sample(arm, np.full(40, np.nan), np.arange(40), 40) for arm in (values, values + 0.05)]
    drawn = [Sample(arm.values, arm.labels, arm.clusters, 40, arm.values[:, None] + shifts) for arm in plain]

    errors = [estimate("mean", arms[0]).standard_error for arms in (plain, drawn)]
    changes = [difference("mean", *arms).standard_error for arms in (plain, drawn)]

    assert errors[1] == pytest.approx(np.hypot(errors[0], 0.1))
    assert changes[1] == pytest.approx(changes[0], abs=1e-9)
