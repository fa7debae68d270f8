"""The statistics that turn a metric's records into one number, vectorised over resamples.

Every statistic is evaluated for many weightings of the clusters at once: a bootstrap resample is a vector of counts, a
leave-one-out is a vector of ones with one zero, a swap of two arms is a vector of zeros and ones. Most statistics are
functions of a few totals over records, so that a resample costs one matrix product; AUROC is computed on the sorted
records.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
CELLS_AT_ONCE = 4_000_000
"""Elements of the largest temporary array, so that memory stays near 100 MB on the largest benchmarks."""
CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Sample:
    """One metric's parsed records of one policy: three aligned vectors, and how many clusters there are."""

    values: Array
    labels: Array
    clusters: NDArray[np.intp]
    """Index of each record's cluster, 0 to `count` - 1."""
    count: int
    draws: Array | None = None
    """(records, draws): the values under other fits of what made them, such as a calibration; None where none did."""

    def beside(self, other: "Sample") -> "Sample":
        """Both samples as one, the other's clusters numbered after this one's."""
        return Sample(
            np.concatenate([self.values, other.values]),
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.clusters, other.clusters + self.count]),
            self.count + other.count,
        )


Estimator: TypeAlias = Callable[[Array], Array]
"""Weights of the clusters, (resamples, clusters), to the statistic under each, (resamples,); NaN where undefined."""


def estimator(statistic: str, sample: Sample) -> Estimator:
    """The statistic of a sample as a function of its clusters' weights. Raises KeyError for an unknown statistic."""
    if statistic == "auroc":
        return _auroc(sample)
    columns, combine = FROM_TOTALS[statistic]
    totals = _cluster_totals(columns(sample.values, sample.labels), sample)
    return lambda weights: combine(weights @ totals)


def is_known(statistic: str) -> bool:
    """Whether `estimator` computes a statistic of that name."""
    return statistic == "auroc" or statistic in FROM_TOTALS


def _cluster_totals(columns: Array, sample: Sample) -> Array:
    """Sums of each column over each cluster's records: (records, k) to (clusters, k)."""
    return np.stack([np.bincount(sample.clusters, column, sample.count) for column in columns.T], axis=1)


def _ratio(numerator: Array, denominator: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)


def _mean_columns(values: Array, _labels: Array) -> Array:
    return np.stack([values, np.ones_like(values)], axis=1)


def _mean(totals: Array) -> Array:
    return _ratio(totals[:, 0], totals[:, 1])


def _ratio_columns(values: Array, labels: Array) -> Array:
    return np.stack([values, labels], axis=1)


def _class_columns(values: Array, labels: Array) -> Array:
    positive = (labels == 1).astype(np.float64)
    return np.stack([values * positive, positive, values * (1 - positive), 1 - positive], axis=1)


def _class_means(totals: Array) -> tuple[Array, Array]:
    return _ratio(totals[:, 0], totals[:, 1]), _ratio(totals[:, 2], totals[:, 3])


def _balanced_accuracy(totals: Array) -> Array:
    positive, negative = _class_means(totals)
    return (positive + negative) / 2


def _difference(totals: Array) -> Array:
    positive, negative = _class_means(totals)
    return positive - negative


def _calibration_columns(values: Array, labels: Array) -> Array:
    """For each bin of the predicted probability: sum of (probability - outcome); last, the number of records."""
    bins = np.minimum((values * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.zeros((len(values), CALIBRATION_BINS + 1))
    gaps[np.arange(len(values)), bins] = values - labels
    gaps[:, -1] = 1
    return gaps


def _calibration_error(totals: Array) -> Array:
    return _ratio(np.abs(totals[:, :-1]).sum(axis=1), totals[:, -1])


FROM_TOTALS: dict[str, tuple[Callable[[Array, Array], Array], Callable[[Array], Array]]] = {
    "mean": (_mean_columns, _mean),
    "ratio": (_ratio_columns, _mean),
    "difference": (_class_columns, _difference),
    "balanced_accuracy": (_class_columns, _balanced_accuracy),
    "ece": (_calibration_columns, _calibration_error),
}
"""Statistics of totals: a record's columns, and how their sums become the statistic.

`mean`: of `value`. `ratio`: sum of `value` over sum of `label`. `difference`: mean `value` where `label` is 1, less the
mean where it is 0. `balanced_accuracy`: mean of the two classes' mean `value` (1 if the answer is right), the class in
`label`. `ece`: expected calibration error in ten bins of equal width, `value` the probability of the outcome `label`
(Guo et al. 2017, equation 3). `auroc`: of the score `value` for the class `label`, ties counted half.
"""


def _auroc(sample: Sample) -> Estimator:
    """Positives' weights times the negatives' weight below them, over all pairs: one running sum a resample."""
    positive = sample.labels == 1
    order = np.argsort(sample.values[~positive], kind="stable")
    scores = sample.values[~positive][order]
    of_negatives, of_positives = sample.clusters[~positive][order], sample.clusters[positive]
    below = np.searchsorted(scores, sample.values[positive], side="left")
    not_above = np.searchsorted(scores, sample.values[positive], side="right")

    def evaluate(weights: Array) -> Array:
        step = max(1, CELLS_AT_ONCE // (1 + len(sample.values)))
        return np.concatenate([_of(weights[at : at + step].T) for at in range(0, len(weights), step)])

    def _of(weights: Array) -> Array:
        running = np.zeros((len(scores) + 1, weights.shape[1]))
        np.cumsum(weights[of_negatives], axis=0, out=running[1:])
        positives = weights[of_positives]
        wins = np.einsum("ij,ij->j", positives, running[below] + running[not_above]) / 2
        return _ratio(wins, positives.sum(axis=0) * running[-1])

    return evaluate
