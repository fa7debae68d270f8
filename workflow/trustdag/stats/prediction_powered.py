"""Prediction-powered inference: a person's labels of some replies correct what a parser reads of all of them.

PPI++ (Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453). A mean is the parser's mean over all items, times a power,
plus the labelled items' mean of what the person says less that power times what the parser says. It is right on average
whatever the parser's errors are; the power is the one that makes it least uncertain. Each stage, and each change, has a
power and a correction of its own, so that a parser that errs more on one stage's replies moves no result.

Replies that give no answer are part of it: a metric over answers is the ratio of two such means, the values over those
that count, and a person decides both. What a cluster adds to the ratio is its influence, as everywhere in `stats`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trustdag.stats.estimators import COEFFICIENTS, Array, Part, Spread, rare_events, welch
from trustdag.stats.intervals import ENOUGH_EVENTS, Estimate, of_parts

LEAST_LABELS = 20
"""A number is corrected by no fewer labels than these."""


@dataclass(frozen=True)
class LabelledSample:
    """One metric's asked items of one policy, or of two policies' change: aligned vectors."""

    counted: Array
    """What the item adds to the mean's denominator, as the parser reads it; 0 where it gave no number."""
    values: Array
    """What it adds to the numerator."""
    classes: Array
    """The records' labels, for statistics of two classes; NaN for others."""
    clusters: NDArray[np.intp]
    """Index of each item's cluster, 0 to `count` - 1."""
    count: int
    person_counted: Array
    """As `counted`, as a person reads it; 0 where no person did."""
    person_values: Array
    weights: Array
    """How many items a labelled item stands for; 0 for one without a label."""

    def only(self, items: NDArray[np.bool_]) -> "LabelledSample":
        """The chosen items; the clusters keep their numbers."""
        return LabelledSample(
            self.counted[items],
            self.values[items],
            self.classes[items],
            self.clusters[items],
            self.count,
            self.person_counted[items],
            self.person_values[items],
            self.weights[items],
        )

    @property
    def labels(self) -> int:
        """How many items a person labelled."""
        return int(np.sum(self.weights > 0))


def estimate(statistic: str, sample: LabelledSample, is_change: bool = False) -> Estimate | None:
    """The corrected statistic.

    Args:
        statistic: Its name.
        sample: The asked items.
        is_change: Whether the values are changes from one policy to another, which lie between -1 and 1.

    Returns:
        The estimate; None where labels cannot correct the statistic, or a class has fewer than LEAST_LABELS.
    """
    coefficients = ((None, 1.0),) if statistic == "ratio" else COEFFICIENTS.get(statistic, ())
    parts = [_class_mean(sample, label, coefficient, is_change) for label, coefficient in coefficients]
    known = [part for part in parts if part is not None]
    return of_parts(known) if known and len(known) == len(parts) else None


def _class_mean(sample: LabelledSample, label: float | None, coefficient: float, is_change: bool) -> Part | None:
    members = sample if label is None else sample.only(sample.classes == label)
    if members.labels < LEAST_LABELS or members.person_counted.sum() <= 0:
        return None
    part = corrected_mean(members, coefficient, least=-1.0 if is_change else 0.0)
    return replace(part, is_rate=False, is_change=True) if is_change else part


def corrected_mean(sample: LabelledSample, coefficient: float, least: float) -> Part:
    """The mean of values over those that count, corrected, with its clusters' influences.

    Args:
        sample: The asked items, of which at least one labelled one counts.
        coefficient: What the statistic multiplies the mean by.
        least: The least mean that there can be; the greatest is 1.
    """
    shares = sample.weights / sample.weights.sum()
    by_labels = float(shares @ sample.person_values) / float(shares @ sample.person_counted)
    power = _power(_residuals(sample, shares, by_labels))
    counted = _corrected(sample.counted, sample.person_counted, shares, power)
    value = _corrected(sample.values, sample.person_values, shares, power) / counted
    value = min(max(value, least), 1.0)
    of_labels, of_parser = (terms / counted for terms in _residuals(sample, shares, value))
    # Two sources of chance: which items there are, and which of them were labelled.
    drawn = _deviations(sample, value) * power / counted
    influences, labelled = of_labels + power * of_parser, of_labels + power * of_parser - drawn
    trials = int(np.sum(_sums(sample, shares) > 0))
    clusters = int(np.sum(np.bincount(sample.clusters, minlength=sample.count) > 0))
    variances = np.array([float((drawn**2).sum()), float((labelled**2).sum())])
    freedom = welch(variances, np.array([clusters - 1.0, trials - 1.0]), clusters - 1.0)
    part = Part(
        coefficient,
        value,
        influences,
        _sums(sample, power / len(sample.values) + (1 - power) * shares),
        trials,
        freedom,
        _scale(sample, influences, power / counted),
        Spread(float(sample.labels), 0.0, _labelled_events(sample)),
        labelled=sample.labels,
    )
    return replace(part, spread=replace(part.spread, design=_design(part)))


def _corrected(parser: Array, person: Array, shares: Array, power: float) -> float:
    return power * float(parser.mean()) + float(shares @ (person - power * parser))


def _residuals(sample: LabelledSample, shares: Array, value: float) -> tuple[Array, Array]:
    """Each cluster's influence on numerator less `value` times denominator.

    Args:
        sample: The items.
        shares: (items,): each labelled item's share of the labels.
        value: The ratio.

    Returns:
        (clusters,), of the labels alone; (clusters,), what one unit of power adds.
    """
    person = sample.person_values - value * sample.person_counted
    parser = sample.values - value * sample.counted
    of_labels = _sums(sample, shares * (person - shares @ person))
    of_parser = _deviations(sample, value) - _sums(sample, shares * (parser - shares @ parser))
    return of_labels, of_parser


def _deviations(sample: LabelledSample, value: float) -> Array:
    """(clusters,): each cluster's influence on the parser's mean over all items."""
    parser = sample.values - value * sample.counted
    return _sums(sample, (parser - parser.mean()) / len(parser))


def _power(residuals: tuple[Array, Array]) -> float:
    """The power between 0 (labels alone) and 1 (the parser in full) with the least variance."""
    of_labels, of_parser = residuals
    square = float(of_parser @ of_parser)
    return float(np.clip(-float(of_labels @ of_parser) / square, 0.0, 1.0)) if square > 1e-20 else 1.0


def _scale(sample: LabelledSample, influences: Array, power: float) -> float:
    """What makes the influences' sum of squares an unbiased variance, mean and power fitted, with errors not seen.

    Where labels and parser seldom differ, labels show too few errors to tell how many there are; the variance is then
    that of one more labelled item on which they do.
    """
    trials = int(np.sum(_sums(sample, sample.weights) > 0))
    seen = float((influences**2).sum())
    if seen <= 0 or trials < 3:
        return 1.0
    labelled = sample.weights > 0
    apart = (sample.person_values != sample.values) | (sample.person_counted != sample.counted)
    unseen = max(0.0, 1 - float(np.sum(apart & labelled)) / ENOUGH_EVENTS)
    one_more = power / sample.labels if sample.labels < len(sample.values) else 0.0
    return float(np.sqrt(trials / (trials - 2) + unseen * one_more**2 / seen))


def _labelled_events(sample: LabelledSample) -> float:
    """How many clusters' worth of labels differ from 0, or from 1, whichever are fewer."""
    labelled = (sample.weights > 0).astype(float)
    mass = _sums(sample, labelled * np.abs(sample.person_values))
    return rare_events(mass, _sums(sample, labelled * sample.person_counted) - mass)


def _design(part: Part) -> float:
    independent = part.value * (1 - part.value) / part.spread.records
    variance = float(((part.influences * part.scale) ** 2).sum())
    return variance / independent if independent > 1e-12 else 0.0


def _sums(sample: LabelledSample, values: Array) -> Array:
    return np.bincount(sample.clusters, values, sample.count).astype(np.float64)


def labels_of(estimates: Sequence[Estimate | None]) -> int:
    """The labels that all of these numbers are corrected by; 0 where one is not."""
    return min((0 if one is None else one.labelled for one in estimates), default=0)
