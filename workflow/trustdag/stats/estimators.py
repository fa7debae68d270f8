"""The statistics of a metric's records. Each is a sum of a few means with the influences of clusters.

A cluster's influence on a mean is its contribution to the mean's deviation from its true value, to first order. The sum
of the squared influences estimates the variance (the cluster-robust or linearized variance; Liang and Zeger 1986).
Intervals and tests need only values and influences, so no statistic is computed again for resamples.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Sample:
    """One metric's parsed records of one policy: three aligned vectors, and the number of clusters."""

    values: Array
    labels: Array
    clusters: NDArray[np.intp]
    """Index of each record's cluster, 0 to `count` - 1."""
    count: int
    draws: Array | None = None
    """(records, draws): the values with each refit of a calibration; None without a calibration."""
    weights: Array | None = None
    """(records,): by how much each counts in a mean, the share of an item's samples that were read; None: each by 1."""

    def only(self, records: NDArray[np.bool_]) -> "Sample":
        """The chosen records; the clusters keep their numbers."""
        draws = None if self.draws is None else self.draws[records]
        weights = None if self.weights is None else self.weights[records]
        return Sample(self.values[records], self.labels[records], self.clusters[records], self.count, draws, weights)

    def paired_with(self, other: "Sample") -> "Sample":
        """The records with the weights of pairs: the share of the pairs of samples of which both were read."""
        if self.weights is None and other.weights is None:
            return self
        own, others = (np.ones_like(self.values) if one.weights is None else one.weights for one in (self, other))
        return replace(self, weights=own * others)


@dataclass(frozen=True)
class Spread:
    """Uncertainty of a rate: the design effect of its records, and the number of events it was estimated from."""

    records: float
    """Number of records of the rate."""
    design: float
    """Design effect: the rate's variance over that of as many independent binary values; 0 if no value varies."""
    events: float
    """Effective number of clusters with values other than 0, or other than 1, whichever is smaller."""


@dataclass(frozen=True)
class Part:
    """A mean with a coefficient. A statistic is a sum of such terms."""

    coefficient: float
    """Coefficient of the mean in the statistic."""
    value: float
    """The mean; NaN without records."""
    influences: Array
    """(clusters,): each cluster's contribution to the mean's deviation from its true value; they sum to 0."""
    shares: Array
    """(clusters,): each cluster's share of the records; sums to 1."""
    trials: int
    """Number of clusters with a record."""
    freedom: float
    """Degrees of freedom of the variance."""
    scale: Array | float
    """(clusters,), or the same for all: factors that make the sum of squared influences an unbiased variance."""
    spread: "Spread"
    """Variation of the values within and between clusters."""
    is_rate: bool = True
    """Whether the mean is between 0 and 1 by definition."""
    draws: Array | None = None
    """(draws,): the mean with each refit of a calibration."""
    is_change: bool = False
    """Whether it is a rise or a fall between two arms, or, if it is no rate, a change of a rate."""
    labelled: int = 0
    """Number of human labels that correct the mean; 0 if it is not corrected."""


def is_known(statistic: str) -> bool:
    """Whether `parts` computes the statistic of this name."""
    return statistic in PARTS


def parts(statistic: str, sample: Sample) -> tuple[Part, ...]:
    """The means of a statistic of a sample. Raises KeyError for an unknown statistic."""
    return PARTS[statistic](sample)


def paired_parts(statistic: str, ours: Sample, theirs: Sample) -> tuple[Part, ...]:
    """The means of a paired difference; both samples have the same items in the same order.

    A difference of means is the mean rise minus the mean fall over the items (for binary items: the two kinds of
    discordant pairs). So the interval is narrow for arms that rarely differ. Raises KeyError for an unknown statistic.

    Args:
        statistic: the statistic's name.
        ours: one arm.
        theirs: the other arm, of the same items in the same order.

    Returns:
        One part for each mean.
    """
    if statistic in COEFFICIENTS:
        return _of_classes(COEFFICIENTS[statistic], ours, theirs)
    if statistic == "ratio":
        both = (ours.labels > 0) & (theirs.labels > 0)
        return _of_classes(COEFFICIENTS["mean"], _given(ours.only(both)), _given(theirs.only(both)))
    (own,), (other,) = PARTS[statistic](ours), PARTS[statistic](theirs)
    return own, replace(other, coefficient=-1.0)


COEFFICIENTS: dict[str, tuple[tuple[float | None, float], ...]] = {
    "mean": ((None, 1.0),),
    "difference": ((1.0, 1.0), (0.0, -1.0)),
    "balanced_accuracy": ((1.0, 0.5), (0.0, 0.5)),
}
"""Statistics that are sums of classes' means: the class's label (None: all records) and the mean's coefficient."""


def _of_classes(
    coefficients: tuple[tuple[float | None, float], ...], sample: Sample, other: Sample | None = None
) -> tuple[Part, ...]:
    """The classes' means of one sample, or their mean rises and falls from the other sample to it."""
    members: list[Part] = []
    for label, coefficient in coefficients:
        records = np.ones(len(sample.values), dtype=bool) if label is None else sample.labels == label
        own = sample.only(records)
        if other is None:
            members.append(_mean(own, coefficient))
        else:
            members += _changes(own, other.only(records), coefficient)
    return tuple(members)


def _changes(ours: Sample, theirs: Sample, coefficient: float) -> list[Part]:
    change = ours.values - theirs.values
    ours = ours.paired_with(theirs)
    drawn = None
    if ours.draws is not None and theirs.draws is not None:
        drawn = ours.draws - theirs.draws
    if not (_in_unit(ours.values) and _in_unit(theirs.values)):
        return [_mean(replace(ours, values=change, draws=drawn), coefficient, is_rate=False)]
    rises = replace(ours, values=np.maximum(change, 0), draws=_positive(drawn))
    falls = replace(ours, values=np.maximum(-change, 0), draws=_positive(drawn, -1))
    return _alike(_mean(rises, coefficient), _mean(falls, -coefficient))


def _alike(rises: Part, falls: Part) -> list[Part]:
    """Both kinds of change with their common spread, because the rarer kind alone shows too little of it."""
    known = rises.spread
    if not rises.trials:
        return [rises, falls]
    sums = [(part.influences + part.value * part.shares) * known.records for part in (rises, falls)]
    spread = Spread(
        known.records,
        _design([rises, falls], known.records),
        rare_events(sums[0] + sums[1], rises.shares * known.records - sums[0] - sums[1]),
    )
    return [replace(part, spread=spread, is_change=True) for part in (rises, falls)]


def _design(members: list[Part], records: float) -> float:
    independent = sum(part.value * (1 - part.value) for part in members)
    return records * sum(_variance(part) for part in members) / independent if independent > 1e-12 else 0.0


def _variance(part: Part) -> float:
    return float(((part.influences * part.scale) ** 2).sum())


def _positive(values: Array | None, sign: int = 1) -> Array | None:
    return None if values is None else np.maximum(sign * values, 0)


def _in_unit(values: Array) -> bool:
    return not len(values) or bool(values.min() >= 0 and values.max() <= 1)


def _given(sample: Sample) -> Sample:
    """The records that a ratio's denominator counts, with their own ratios as values."""
    counted = sample.only(sample.labels > 0)
    return Sample(counted.values / counted.labels, counted.labels, counted.clusters, counted.count)


def _ratio(sample: Sample) -> tuple[Part, ...]:
    counted = sample.only(sample.labels > 0)
    return (_mean(_given(sample), 1.0, weights=counted.labels),)


def _mean(sample: Sample, coefficient: float, weights: Array | None = None, is_rate: bool = True) -> Part:
    """The mean of the values, weighted by `weights` if given, else by the sample's, with its clusters' influences."""
    if weights is None:
        weights = np.ones_like(sample.values) if sample.weights is None else sample.weights
    total = weights.sum()
    of_clusters = _sums(sample, weights)
    trials = int(np.sum(of_clusters > 0))
    if total == 0:
        return _undefined(sample, coefficient)
    sums = _sums(sample, weights * sample.values)
    value = float(sums.sum() / total)
    influences = (sums - value * of_clusters) / total
    shares = of_clusters / total
    draws = None if sample.draws is None else weights @ sample.draws / total
    spread = Spread(len(sample.values), 0.0, rare_events(sums, of_clusters - sums))
    part = Part(
        coefficient, value, influences, shares, trials, _freedom(shares), _unbiased(shares), spread,
        is_rate and _in_unit(sample.values), draws,
    )  # fmt: skip
    return replace(part, spread=replace(part.spread, design=_design([part], part.spread.records)))


def _sums(sample: Sample, values: Array) -> Array:
    """(clusters,): the sum of the values of each cluster's records."""
    return np.bincount(sample.clusters, values, sample.count).astype(np.float64)


def _undefined(sample: Sample, coefficient: float) -> Part:
    nothing = np.zeros(sample.count)
    return Part(coefficient, float("nan"), nothing, nothing, 0, 0.0, 1.0, Spread(0.0, 0.0, 0.0))


def _unbiased(shares: Array) -> Array:
    """(clusters,): factors that make the sum of squared influences unbiased: a large cluster draws the mean to itself.

    Those of Bell and McCaffrey (2002): one over the root of 1 minus the cluster's share, for equal clusters all alike.
    """
    rest = 1 - shares
    return 1 / np.sqrt(np.where(rest > 1e-12, rest, np.nan))


def _freedom(shares: Array) -> float:
    """Degrees of freedom of the variance: the effective number of clusters less one."""
    return _participants(shares) - 1


def rare_events(mass: Array, rest: Array) -> float:
    """Effective number of clusters with values other than 0, or other than 1, whichever is smaller.

    The count of a side is its mass (for binary values: their number) or the effective number of clusters of this mass,
    (sum)^2 / (sum of squares), whichever is smaller.
    """
    return min(_spread(mass), _spread(rest))


def _spread(mass: Array) -> float:
    return min(float(mass.sum()), _participants(mass))


def _participants(mass: Array) -> float:
    """Effective number of clusters of a mass: (sum)^2 / (sum of squares); for an even mass the number of clusters."""
    squares = float((mass**2).sum())
    return float(mass.sum()) ** 2 / squares if squares > 1e-20 else 0.0


def _auroc(sample: Sample) -> tuple[Part, ...]:
    """Each record's placement (the share of the other class that it is ranked rightly against): DeLong et al. 1988."""
    positive = sample.labels == 1
    classes = sample.only(positive), sample.only(~positive)
    sizes = [len(members.values) for members in classes]
    if not min(sizes):
        return (_undefined(sample, 1.0),)
    above = _share_below(classes[0].values, classes[1].values)
    below = 1 - _share_below(classes[1].values, classes[0].values)
    halves = [
        _mean(Sample(placements, members.labels, members.clusters, sample.count), 1.0)
        for placements, members in zip((above, below), classes, strict=True)
    ]
    own = [half.influences * _factor(half) for half in halves]
    shares = (halves[0].shares + halves[1].shares) / 2
    variances = np.array([float((influences**2).sum()) for influences in own])
    trials = np.array([half.trials for half in halves])
    freedom = welch(variances, np.array([half.freedom for half in halves]), float(np.sum(shares > 0) - 1))
    events = min(_participants((1 - half.value) * half.shares - half.influences) for half in halves)
    spread = Spread(float(min(sizes)), 0.0, events)
    part = Part(1.0, halves[0].value, own[0] + own[1], shares, int(trials.min()), freedom, 1.0, spread)
    return (replace(part, spread=replace(spread, design=_design([part], spread.records))),)


def _factor(part: Part) -> float:
    """One factor with the effect of those of all clusters: the influences still sum to 0."""
    alone = float((part.influences**2).sum())
    return float(np.sqrt(_variance(part) / alone)) if alone > 0 else 1.0


def _share_below(values: Array, others: Array) -> Array:
    """The share of `others` below each value, ties counted half."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2 / len(others)


def welch(variances: Array, freedoms: Array, most: float) -> float:
    """Degrees of freedom of a sum of variances (Satterthwaite 1946), at most `most`; `most` if all are 0.

    Args:
        variances: the variance of each summand.
        freedoms: the degrees of freedom of each.
        most: the upper limit.
    """
    terms = float((variances**2 / np.maximum(freedoms, 1e-9)).sum())
    return min(float(variances.sum()) ** 2 / terms, most) if terms > 0 else most


def _calibration_error(sample: Sample) -> tuple[Part, ...]:
    """For each bin of predicted probability: the absolute sum of (probability - outcome), over all records."""
    count = len(sample.values)
    whole = _mean(sample, 1.0)
    if not count:
        return (whole,)
    bins = np.minimum((sample.values * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = sample.values - sample.labels
    signs = np.sign(np.bincount(bins, gaps, CALIBRATION_BINS))
    sums = _sums(sample, signs[bins] * gaps)
    value = float(sums.sum() / count)
    influences = sums / count - value * whole.shares
    part = replace(whole, value=value, influences=influences, draws=None)
    spread = Spread(float(count), _design([part], float(count)), float(whole.trials))
    return (replace(part, spread=spread),)


PARTS: dict[str, Callable[[Sample], tuple[Part, ...]]] = {
    "mean": lambda sample: _of_classes(COEFFICIENTS["mean"], sample),
    "ratio": _ratio,
    "difference": lambda sample: _of_classes(COEFFICIENTS["difference"], sample),
    "balanced_accuracy": lambda sample: _of_classes(COEFFICIENTS["balanced_accuracy"], sample),
    "auroc": _auroc,
    "ece": _calibration_error,
}
"""`mean`: mean `value`. `ratio`: sum of `value` over sum of `label`. `difference`: mean `value` of records with `label`
1 minus that of records with `label` 0. `balanced_accuracy`: mean of the two classes' mean `value` (1 if the answer is
right), with the class in `label`. `ece`: expected calibration error in ten bins of equal width; `value` is the
probability of the outcome `label` (Guo et al. 2017, equation 3). `auroc`: area under the ROC curve of the score `value`
for the class `label`, ties counted half.
"""
