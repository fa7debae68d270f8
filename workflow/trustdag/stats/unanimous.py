"""Intervals where all records agree: a bootstrap sees no spread there, and would claim certainty.

Each cluster counts as one trial, so the intervals are Clopper and Pearson's (1934) for no successes, or no failures.
"""

import numpy as np

from trustdag.stats.estimators import Sample
from trustdag.stats.resampling import NO_INTERVAL


def interval(statistic: str, sample: Sample, level: float) -> tuple[float, float]:
    """The interval of a mean of values that are all 0 or all 1, and of such a ratio; NaN for any other."""
    trials = _trials(statistic, sample)
    if trials is None or _differ(sample) or not (np.all(trials.values == 0) or np.all(trials.values == 1)):
        return NO_INTERVAL
    margin = _unseen(trials, level)
    return (0.0, margin) if trials.values[0] == 0 else (1 - margin, 1.0)


def difference(statistic: str, ours: Sample, theirs: Sample, level: float) -> tuple[float, float]:
    """The interval of a paired difference of means in [0, 1] that differ nowhere or everywhere, or of unanimous ratios.

    A ratio's trials differ between the arms, so the two arms' margins are combined as Newcombe does (1998, method 10).
    """
    if statistic == "mean":
        return _difference_of_means(ours, theirs, level)
    (low, high), (other_low, other_high) = (interval(statistic, arm, level) for arm in (ours, theirs))
    if np.isnan([low, other_low]).any():
        return NO_INTERVAL
    value, other = float(low > 0), float(other_low > 0)
    below, above = np.hypot(value - low, other_high - other), np.hypot(high - value, other - other_low)
    return (float(max(value - other - below, -1)), float(min(value - other + above, 1)))


def _trials(statistic: str, sample: Sample) -> Sample | None:
    """The records that are trials: all of a mean's, and those of a ratio that its denominator counts."""
    if statistic == "ratio" and np.isin(sample.labels, (0, 1)).all() and np.all(sample.values <= sample.labels):
        counted = sample.labels == 1
        sample = Sample(sample.values[counted], sample.labels[counted], sample.clusters[counted], sample.count)
    elif statistic != "mean":
        return None
    return sample if len(sample.values) else None


def _differ(sample: Sample) -> bool:
    """Whether other fits of what made the values would not make the same."""
    return sample.draws is not None and bool(np.any(sample.draws != sample.values[:, None]))


def _difference_of_means(ours: Sample, theirs: Sample, level: float) -> tuple[float, float]:
    if _differ(ours) or _differ(theirs):
        return NO_INTERVAL
    both = np.concatenate([ours.values, theirs.values])
    if not len(both) or both.min() < 0 or both.max() > 1:
        return NO_INTERVAL
    changes = ours.values - theirs.values
    margin = _unseen(ours, level)
    if np.all(changes == 0):
        return (-margin, margin)
    if np.all(changes == 1):
        return (1 - margin, 1.0)
    return (-1.0, margin - 1) if np.all(changes == -1) else NO_INTERVAL


def _unseen(sample: Sample, level: float) -> float:
    """The largest share of clusters that may be otherwise although not one was seen."""
    return float(1 - ((1 - level) / 2) ** (1 / len(np.unique(sample.clusters))))
