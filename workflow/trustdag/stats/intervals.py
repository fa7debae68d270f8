"""The interval of a statistic from its means: score intervals on an equivalent sample size, combined."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from trustdag.stats.estimators import Array, Part, Sample, paired_parts, parts, welch

NO_INTERVAL = (float("nan"), float("nan"))
ENOUGH_EVENTS = 5.0
"""From this effective number of clusters with the rarer outcome on, only the observed spread of a rate is used."""
NO_SPREAD = 1e-20
"""Smaller variances are rounding errors."""


@dataclass(frozen=True)
class Estimate:
    """A statistic with the covariance of its means, from which interval and test are computed."""

    parts: tuple[Part, ...]
    covariance: Array
    """(parts, parts), covariance of the means."""
    freedom: float
    """Degrees of freedom of the statistic's variance."""
    clusters: int
    """Number of clusters with a record, which are the independent observations."""

    @property
    def coefficients(self) -> Array:
        """(parts,): coefficient of each mean."""
        return np.array([part.coefficient for part in self.parts])

    @property
    def value(self) -> float:
        """The statistic; NaN if one of its means is undefined."""
        return float(sum(part.coefficient * part.value for part in self.parts))

    @property
    def labelled(self) -> int:
        """Number of human labels that correct the statistic; 0 if it is not corrected."""
        return sum(part.labelled for part in self.parts)

    @property
    def standard_error(self) -> float:
        """Standard error of the statistic; NaN if it is undefined or has one cluster."""
        if not self.is_defined:
            return float("nan")
        variance = float(self.coefficients @ self.covariance @ self.coefficients)
        return sqrt(variance) if variance > NO_SPREAD else 0.0

    def quantile(self, probability: float) -> float:
        """Quantile of Student's t with the statistic's degrees of freedom."""
        from scipy.special import stdtrit

        return float(stdtrit(self.freedom, probability))

    def interval(self, level: float) -> tuple[float, float]:
        """The interval of this level; NaN if the statistic is undefined or has one cluster.

        Each mean's limits are a score interval (Wilson 1927) with Student's t for the normal quantile. Its sample size
        is that of independent binary values with the same uncertainty. The limits are combined by the method of Zou and
        Donner (2008), which gives Newcombe's interval (1998) for a difference of two independent rates.

        Returns:
            The lower and the upper limit.
        """
        return self.limits(self.quantile((1 + level) / 2)) if self.is_defined else NO_INTERVAL

    def student_p(self) -> float:
        """The two-sided p-value of Student's t; 1 with too few clusters for a standard error."""
        from scipy.special import stdtr

        if not self.is_defined or self.value == 0:
            return 1.0
        error = self.standard_error
        return float(2 * stdtr(self.freedom, -abs(self.value) / error)) if error > 0 else 0.0

    def p_value(self) -> float:
        """1 minus the highest level whose interval does not contain 0. So interval and p-value agree at every level."""
        from scipy.special import stdtr

        if not self.is_defined:
            return float("nan")
        quantiles = np.array([0.0, 1e3])
        for _ in range(60):
            middle = float(quantiles.mean())
            low, high = self.limits(middle)
            quantiles[int(low <= 0 <= high)] = middle
        return float(2 * stdtr(self.freedom, -quantiles[1]))

    @property
    def is_defined(self) -> bool:
        """Whether the statistic is defined and has enough clusters for an interval."""
        return bool(np.isfinite(self.value) and np.isfinite(self.covariance).all() and self.freedom > 0)

    def limits(self, quantile: float) -> tuple[float, float]:
        """The limits at this number of standard errors.

        Returns:
            The lower and the upper limit.
        """
        below, above = self._margins(quantile)
        coefficients = self.coefficients
        errors = np.sqrt(np.maximum(np.diag(self.covariance), 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            correlation = np.nan_to_num(self.covariance / np.outer(errors, errors))
        # At least the uncertainty of one cluster: two arms are never known to change identically.
        correlation *= 1 - 1 / max(self.clusters, 1)
        np.fill_diagonal(correlation, 1)
        down = coefficients * np.where(coefficients > 0, below, above)
        up = coefficients * np.where(coefficients > 0, above, below)
        low, high = self.value - _length(down, correlation), self.value + _length(up, correlation)
        least, most = self._range()
        return max(low, least), min(high, most)

    def _margins(self, quantile: float) -> tuple[Array, Array]:
        """Distances of each mean's limits below and above it."""
        variances = np.diag(self.covariance)
        limits = np.array([limits_of(*pair, quantile) for pair in zip(self.parts, variances, strict=True)])
        values = np.array([part.value for part in self.parts])
        return values - limits[:, 0], limits[:, 1] - values

    def _range(self) -> tuple[float, float]:
        """The least and greatest possible value of the statistic; rise and fall of one class share a range."""
        signs = self.coefficients
        if all(part.is_change and not part.is_rate for part in self.parts):
            return -float(np.abs(signs).sum()), float(np.abs(signs).sum())
        if not all(part.is_rate for part in self.parts):
            return -np.inf, np.inf
        bound = float(np.abs(signs).sum()) / 2 if (signs < 0).any() else 0.0
        return (-bound, bound) if bound else (0.0, float(signs.sum()))


def _length(vector: Array, correlation: Array) -> float:
    return sqrt(max(float(vector @ correlation @ vector), 0.0))


def limits_of(part: Part, variance: float, quantile: float) -> tuple[float, float]:
    """A mean's limits at this number of standard errors.

    Args:
        part: The mean.
        variance: Observed variance of the mean.
        quantile: Quantile of Student's t.

    Returns:
        Lower and upper limit. For a rate they are in [0, 1], and never closer to 0 events than for a sample without
        events. For any other mean they are symmetric.
    """
    value = part.value
    if not part.is_rate:
        margin = quantile * float(np.sqrt(variance))
        return value - margin, value + margin
    low, high = score_limits(value, equivalent_size(part, variance), quantile)
    if value in (0, 1):
        # For an observed rate of 0 or 1, no sample size has the uncertainty of further sources of variance.
        margin = quantile * sqrt(_beside(part, variance))
        low, high = value - np.hypot(value - low, margin), value + np.hypot(high - value, margin)
    if not part.is_change:
        fewer = _limit_of_fewer_events(part, quantile)
        low, high = (low, max(high, fewer)) if value <= 0.5 else (min(low, 1 - fewer), high)
    return min(max(float(low), 0.0), value), max(min(float(high), 1.0), value)


def score_limits(values: Any, sizes: Any, quantile: float) -> tuple[Any, Any]:
    """Wilson's limits of rates.

    Args:
        values: the rates.
        sizes: the number of independent binary values of each rate.
        quantile: number of standard errors.

    Returns:
        The lower and the upper limits.
    """
    square = quantile**2 / sizes
    center = (values + square / 2) / (1 + square)
    margin = np.sqrt(square * values * (1 - values) + square**2 / 4) / (1 + square)
    return center - margin, center + margin


def _limit_of_fewer_events(part: Part, quantile: float) -> float:
    """The limit on the side of more events, at least as large as for a similar sample with fewer events.

    Events reduce the uncertainty about the agreement of clusters, so a few events could give a lower limit than none.
    This is corrected, because an observed outcome must not appear rarer than an unobserved one.
    """
    spread = part.spread
    most = min(spread.events, ENOUGH_EVENTS)
    # The same numbers of events for every sample: limits of a finer grid would not be in order.
    events = np.append(np.arange(0, most, ENOUGH_EVENTS / 40), most)
    worst, seen = spread.records / part.trials, max(spread.design, 1.0)
    unseen = np.maximum(0.0, 1 - events / ENOUGH_EVENTS)
    sizes = spread.records / (seen + unseen * max(worst - seen, 0.0))
    values = min(part.value, 1 - part.value) * events / max(spread.events, 1e-9)
    return float(score_limits(values, sizes, quantile)[1].max())


def equivalent_size(part: Part, variance: float) -> float:
    """The number of independent binary values with the same uncertainty as the rate.

    Few events show little of the spread. Then the design effect is at least partly that of clusters whose values are
    all 0 or all 1: fully without events, and not at all from ENOUGH_EVENTS on.

    Args:
        part: The rate.
        variance: Its variance: from its influences, and from a calibration or training seeds.
    """
    spread = part.spread
    worst = spread.records / part.trials
    unseen = max(0.0, 1 - spread.events / ENOUGH_EVENTS)
    design = spread.design + unseen * max(worst - spread.design, 0.0)
    if design < NO_SPREAD:
        design = worst
    independent = part.value * (1 - part.value) / spread.records
    return spread.records / (design + (_beside(part, variance) / independent if independent > 0 else 0.0))


def _beside(part: Part, variance: float) -> float:
    """The variance beyond that of the clusters' influences."""
    beside = variance - float(((part.influences * part.scale) ** 2).sum())
    return beside if beside > NO_SPREAD else 0.0


def estimate(statistic: str, sample: Sample) -> Estimate:
    """The statistic of a sample."""
    return of_parts(parts(statistic, sample))


def difference(statistic: str, ours: Sample, theirs: Sample) -> Estimate:
    """The paired difference of a statistic between two samples of the same items in the same order.

    Args:
        statistic: the statistic's name.
        ours: one arm.
        theirs: the other arm.
    """
    return of_parts(paired_parts(statistic, ours, theirs))


def of_parts(members: Sequence[Part]) -> Estimate:
    """The estimate of a statistic with these means, over one set of clusters."""
    influences = np.stack([part.influences * part.scale for part in members])
    covariance = influences @ influences.T
    drawn = [part.draws for part in members if part.draws is not None]
    if len(drawn) == len(members):
        deviations = np.stack(drawn) - np.mean(drawn, axis=1, keepdims=True)
        covariance = covariance + deviations @ deviations.T / (deviations.shape[1] - 1)
    clusters = int(np.sum(np.any([part.shares > 0 for part in members], axis=0)))
    squares = np.array([part.coefficient for part in members]) ** 2 * np.diag(covariance)
    freedom = welch(squares, np.array([part.freedom for part in members]), clusters - 1.0)
    if len(members) == 1:
        freedom = members[0].freedom
    return Estimate(tuple(members), covariance, freedom, clusters)
