"""Intervals where every record agrees."""

import numpy as np
import pytest

from tests.unit.stats.test_estimators import sample_of
from trustdag.stats.unanimous import difference, interval

MARGIN = 0.16843
"""Clopper and Pearson's upper limit for 0 of 20: 1 - .025 ** (1 / 20)."""
ZEROS, ONES = sample_of([0] * 20), sample_of([1] * 20)


def ratio_of(values, labels):
    return sample_of(values, labels)


@pytest.mark.parametrize(
    ("statistic", "sample", "expected"),
    [
        ("mean", ZEROS, (0, MARGIN)),
        ("mean", ONES, (1 - MARGIN, 1)),
        ("mean", sample_of([0.5] * 20), None),
        ("mean", sample_of([0, 1] * 10), None),
        ("mean", sample_of([]), None),
        # Only the 20 that are able count; what the others did does not.
        ("ratio", ratio_of([0] * 30, [1] * 20 + [0] * 10), (0, MARGIN)),
        ("ratio", ratio_of([1] * 20 + [0] * 10, [1] * 20 + [0] * 10), (1 - MARGIN, 1)),
        ("ratio", ratio_of([0] * 5, [0] * 5), None),
        ("ratio", ratio_of([0] * 5, [2] * 5), None),
        ("auroc", ratio_of([0] * 20, [0, 1] * 10), None),
    ],
)
def test_intervals_of_unanimous_records(statistic, sample, expected):
    found = interval(statistic, sample, 0.95)

    assert found == pytest.approx(expected, abs=1e-5) if expected else np.isnan(found).all()


def test_records_of_one_cluster_are_one_trial():
    found = interval("mean", sample_of([0] * 20, clusters=np.repeat(np.arange(10), 2)), 0.95)

    assert found == pytest.approx((0, 1 - 0.025 ** (1 / 10)))


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (ZEROS, ZEROS, (-MARGIN, MARGIN)),
        (sample_of([0, 1] * 10), sample_of([0, 1] * 10), (-MARGIN, MARGIN)),
        (ONES, ZEROS, (1 - MARGIN, 1)),
        (ZEROS, ONES, (-1, MARGIN - 1)),
        (sample_of([1, 0]), sample_of([0, 0]), None),
        (sample_of([3, 3]), sample_of([3, 3]), None),
        (sample_of([]), sample_of([]), None),
    ],
)
def test_paired_means_that_never_or_always_differ(ours, theirs, expected):
    found = difference("mean", ours, theirs, 0.95)

    assert found == pytest.approx(expected, abs=1e-5) if expected else np.isnan(found).all()


def test_two_unanimous_ratios():
    none, every = ratio_of([0] * 20, [1] * 20), ratio_of([1] * 20, [1] * 20)

    assert difference("ratio", none, none, 0.95) == pytest.approx((-MARGIN, MARGIN), abs=1e-5)
    assert difference("ratio", every, none, 0.95) == pytest.approx((1 - np.sqrt(2) * MARGIN, 1), abs=1e-5)
    assert difference("ratio", none, every, 0.95) == pytest.approx((-1, np.sqrt(2) * MARGIN - 1), abs=1e-5)
    assert np.isnan(difference("ratio", none, ratio_of([0, 1], [1, 1]), 0.95)).all()
    assert np.isnan(difference("auroc", none, none, 0.95)).all()
