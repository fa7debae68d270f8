"""Prediction-powered inference: human labels of some replies correct the parser's readings of all replies.

PPI++ (Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453). The estimate of a mean is the parser's mean over all items
times a power, plus the mean over labelled items of (label - power times parser). It is unbiased for any errors of the
parser. The power minimizes the variance. Each stage and each change has its own power and correction. So a parser with
more errors on one stage's replies biases no result.

Replies without an answer are included: a metric of answers is the ratio of two such means, the values over the numbers
of counting replies, and labels decide both. A cluster's contribution to the ratio is its influence, as everywhere in
`stats`.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trustdag.stats.estimators import COEFFICIENTS, Array, Part, Spread, rare_events, welch
from trustdag.stats.intervals import ENOUGH_EVENTS, Estimate, of_parts

LEAST_LABELS = 20
"""Least number of labels for a correction."""


@dataclass(frozen=True)
class LabelledSample:
    """One metric's asked items of one policy, or of two policies' change: aligned vectors."""

    counted: Array
    """The item's contribution to the mean's denominator by the parser; 0 without a number."""
    values: Array
    """The item's contribution to the numerator by the parser."""
    classes: Array
    """The records' labels, for statistics of two classes; NaN for others."""
    clusters: NDArray[np.intp]
    """Index of each item's cluster, 0 to `count` - 1."""
    count: int
    person_counted: Array
    """As `counted`, by the label; 0 without a label."""
    person_values: Array
    weights: Array
    """Weight of a labelled item; 0 without a label."""

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
        """Number of labelled items."""
        return int(np.sum(self.weights > 0))


def estimate(statistic: str, sample: LabelledSample, is_change: bool = False) -> Estimate | None:
    """The corrected statistic.

    Args:
        statistic: Its name.
        sample: The asked items.
        is_change: Whether the values are changes from one policy to another, which are between -1 and 1.

    Returns:
        The estimate; None if labels cannot correct the statistic, or a class has fewer than LEAST_LABELS.
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
    """The corrected mean of the values that count, with its clusters' influences.

    Args:
        sample: The asked items, with at least one labelled item that counts.
        coefficient: Coefficient of the mean in the statistic.
        least: The least possible mean; the greatest is 1.
    """
    shares = sample.weights / sample.weights.sum()
    by_labels = float(shares @ sample.person_values) / float(shares @ sample.person_counted)
    power = _power(_residuals(sample, shares, by_labels))
    counted = _corrected(sample.counted, sample.person_counted, shares, power)
    value = _corrected(sample.values, sample.person_values, shares, power) / counted
    value = min(max(value, least), 1.0)
    of_labels, of_parser = (terms / counted for terms in _residuals(sample, shares, value))
    # Two sources of randomness: the draw of items, and the draw of labelled items.
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
    """Each cluster's influence on the numerator minus `value` times the denominator.

    Args:
        sample: The items.
        shares: (items,): each labelled item's share of the labels.
        value: The ratio.

    Returns:
        (clusters,), of the labels alone; (clusters,), the change for one unit of power.
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
    """Factor that makes the influences' sum of squares an unbiased variance, for fitted mean and power.

    If labels and parser rarely differ, there are too few errors to estimate their number. Then the variance is that
    with one more labelled item on which they differ.
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
    """Effective number of clusters with labels other than 0, or other than 1, whichever is smaller."""
    labelled = (sample.weights > 0).astype(float)
    mass = _sums(sample, labelled * np.abs(sample.person_values))
    return rare_events(mass, _sums(sample, labelled * sample.person_counted) - mass)


def _design(part: Part) -> float:
    independent = part.value * (1 - part.value) / part.spread.records
    variance = float(((part.influences * part.scale) ** 2).sum())
    return variance / independent if independent > 1e-12 else 0.0


def _sums(sample: LabelledSample, values: Array) -> Array:
    return np.bincount(sample.clusters, values, sample.count).astype(np.float64)
