"""One paired comparison: levels of both arms, their difference, its interval and its p-value."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trustdag.stats import prediction_powered
from trustdag.stats.estimators import Sample
from trustdag.stats.intervals import Estimate, difference, estimate
from trustdag.stats.prediction_powered import LabelledSample
from trustdag.stats.resampling import flip_test
from trustdag.stats.settings import StatisticsSettings

ONE_MEAN = ("mean", "ratio")
"""Statistics of one mean, for which swapping arms is exact. Others are centered by class, and a class may have few
clusters: their change must also be found by Student's t."""
JUST_ACROSS = 1e-3
"""Share of a difference at which a limit lies that is moved across 0."""
LEAST_PAIRS = 10
"""Least number of items, counted in both arms, for the comparison of a conditional metric (statistic `ratio`)."""


@dataclass(frozen=True)
class Comparison:
    """The comparison of two arms over the same items."""

    pairs: int
    """Number of items of the difference."""
    value: float
    """Value of one arm over the pairs."""
    reference_value: float
    """Value of the other arm: `value` minus the difference."""
    change: Estimate
    interval: tuple[float, float]
    p: float


def compare(statistic: str, ours: Sample, theirs: Sample, settings: StatisticsSettings) -> Comparison | None:
    """Compares two arms.

    Args:
        statistic: Name of the statistic.
        ours: The records of one arm.
        theirs: The records of the other arm, of the same items in the same order.
        settings: Level, resamples and seed.

    Returns:
        The comparison; None if there are too few items: none, or for a ratio fewer than LEAST_PAIRS that both arms
        count.
    """
    both = counted_by_both(statistic, ours, theirs)
    ours, theirs = ours.only(both), theirs.only(both)
    ours_paired, theirs_paired = ours.paired_with(theirs), theirs.paired_with(ours)
    if len(ours.values) < (LEAST_PAIRS if statistic == "ratio" else 1):
        return None
    change = difference(statistic, ours, theirs)
    p = flip_test(change, settings.resamples, settings.seed)
    if statistic not in ONE_MEAN:
        p = max(p, change.student_p())
    values = estimate(statistic, ours_paired).value, estimate(statistic, theirs_paired).value
    return Comparison(len(ours.values), *values, change, agreeing_interval(change, p, settings.level), p)


def corrected(
    statistic: str,
    change: LabelledSample,
    reference: LabelledSample,
    settings: StatisticsSettings,
) -> Comparison | None:
    """The comparison, corrected with human labels.

    The p-value is that of the interval. Only some clusters have labels, so a test that swaps clusters' arms would not
    be exact.

    Args:
        statistic: Name of the statistic.
        change: The changes of the items.
        reference: The other arm's values of the same items.
        settings: Level of the interval.

    Returns:
        The comparison; None if there are too few labels, or they cannot correct the statistic.
    """
    moved = prediction_powered.estimate(statistic, change, is_change=True)
    theirs = prediction_powered.estimate(statistic, reference)
    if moved is None or theirs is None:
        return None
    values = theirs.value + moved.value, theirs.value
    return Comparison(int(np.sum(change.counted > 0)), *values, moved, moved.interval(settings.level), moved.p_value())


def counted_by_both(statistic: str, ours: Sample, theirs: Sample) -> NDArray[np.bool_]:
    """The items of a difference: all, or for a ratio those that both arms' denominators count.

    Args:
        statistic: the statistic's name.
        ours: one arm.
        theirs: the other arm, of the same items.
    """
    if statistic == "ratio":
        return (ours.labels > 0) & (theirs.labels > 0)
    return np.ones(len(ours.values), dtype=bool)


def agreeing_interval(change: Estimate, p: float, level: float) -> tuple[float, float]:
    """The interval of a difference, which contains 0 if and only if the test does not reject 0.

    Interval and test are different methods. If they disagree about 0, the limit next to 0 is moved to agree with `p`:
    the margin is scaled so that the difference is the same multiple of it as in the test. A test that rejects moves it
    no further from 0 than Student's limit, or, if that is beyond 0, just across: clusters that all change in one
    direction, and very differently, show the sign and not the size.

    Args:
        change: The difference.
        p: The test's p-value; NaN without a test.
        level: Level of the interval.

    Returns:
        The limits; NaN if the difference is undefined or has one cluster.
    """
    low, high = change.interval(level)
    if np.isnan([low, p]).any():
        return low, high
    if (low <= 0 <= high) == (p >= 1 - level):
        return low, high
    value = change.value
    at_level = change.limits(change.quantile((1 + level) / 2))
    at_p = change.limits(change.quantile(1 - p / 2))
    side = 0 if value > 0 else 1
    ratio = (value - at_level[side]) / (value - at_p[side])
    limit = value * (1 - ratio)
    if p < 1 - level:
        student = abs(value) - change.quantile((1 + level) / 2) * change.standard_error
        limit = np.copysign(min(abs(limit), max(student, JUST_ACROSS * abs(value))), value)
    return (limit, high) if side == 0 else (low, limit)
