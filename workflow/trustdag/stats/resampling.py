"""Bootstrap over clusters, swaps of two paired arms, and Holm's correction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trustdag.stats.estimators import CELLS_AT_ONCE, Array, Estimator, Sample, estimator

NO_INTERVAL = (float("nan"), float("nan"))


@lru_cache(maxsize=8)
def bootstrap_weights(clusters: int, resamples: int, seed: int) -> NDArray[np.uint8]:
    """How often each cluster is drawn in each resample: (resamples, clusters), rows summing to `clusters`."""
    generator = np.random.default_rng([seed, clusters, 0])
    weights = np.empty((resamples, clusters), dtype=np.uint8)
    step = max(1, CELLS_AT_ONCE // clusters)
    for at in range(0, resamples, step):
        rows = min(step, resamples - at)
        drawn = generator.integers(clusters, size=(rows, clusters)) + np.arange(rows)[:, None] * clusters
        weights[at : at + rows] = np.bincount(drawn.ravel(), minlength=rows * clusters).reshape(rows, clusters)
    weights.flags.writeable = False
    return weights


@lru_cache(maxsize=8)
def swap_weights(clusters: int, resamples: int, seed: int) -> NDArray[np.uint8]:
    """Which clusters swap their arms: every subset once where there are at most `resamples`, else random subsets.

    Shape (subsets, clusters), entries 0 or 1.
    """
    if 2**clusters <= resamples:
        subsets = np.arange(2**clusters)[:, None] >> np.arange(clusters)[None, :] & 1
        return subsets.astype(np.uint8)
    return np.random.default_rng([seed, clusters, 1]).integers(2, size=(resamples, clusters), dtype=np.uint8)


def evaluate(statistic: Estimator, weights: NDArray[np.uint8]) -> Array:
    """The statistic under each row of weights, a few rows at a time."""
    step = max(1, CELLS_AT_ONCE // max(1, weights.shape[1]))
    return np.concatenate([statistic(weights[at : at + step].astype(float)) for at in range(0, len(weights), step)])


def leave_one_out(statistic: Estimator, clusters: int) -> Array:
    """The statistic without each cluster in turn, (clusters,)."""
    step = max(1, CELLS_AT_ONCE // clusters)
    rows = [np.arange(at, min(at + step, clusters)) for at in range(0, clusters, step)]
    return np.concatenate([statistic(1.0 - (row[:, None] == np.arange(clusters)[None, :])) for row in rows])


@dataclass(frozen=True)
class Estimate:
    """A statistic, its bootstrap replicates (NaN where a resample leaves it undefined) and its leave-one-out values."""

    value: float
    replicates: Array
    jackknife: Array
    clusters: int
    """Clusters that hold a record: the effective sample size."""

    @property
    def standard_error(self) -> float:
        """The replicates' standard deviation, made unbiased for few clusters; NaN below two clusters."""
        defined = self.replicates[np.isfinite(self.replicates)]
        if self.clusters < 2 or len(defined) < 2:
            return float("nan")
        return float(defined.std(ddof=1) * np.sqrt(self.clusters / (self.clusters - 1)))

    def minus(self, other: "Estimate") -> "Estimate":
        """The difference of two estimates over the same clusters and resamples."""
        return Estimate(
            self.value - other.value,
            self.replicates - other.replicates,
            self.jackknife - other.jackknife,
            min(self.clusters, other.clusters),
        )

    def interval(self, level: float) -> tuple[float, float]:
        """The bias-corrected and accelerated interval, widened for few clusters; NaN where there is no spread to see.

        BCa after Efron and Tibshirani (1993, equations 14.9 to 14.15), with the normal quantile replaced by Student's t
        times sqrt(m / (m - 1)), which mends the bootstrap's narrowness for m clusters (Hesterberg 2015, section 5.3).
        """
        from scipy.special import ndtr, ndtri, stdtrit

        defined = self.replicates[np.isfinite(self.replicates)]
        if self.clusters < 2 or 2 * len(defined) < len(self.replicates) or np.ptp(defined) < 1e-12:
            return NO_INTERVAL
        below = (np.sum(defined < self.value - 1e-12) + np.sum(defined <= self.value + 1e-12)) / 2 / len(defined)
        bias = ndtri(np.clip(below, 1 / len(defined), 1 - 1 / len(defined)))
        quantile = stdtrit(self.clusters - 1, (1 + level) / 2) * np.sqrt(self.clusters / (self.clusters - 1))
        shifted = bias + np.array([-quantile, quantile])
        # Beyond the pole of the acceleration's formula lies the end of the distribution.
        stretch = np.maximum(1 - self._acceleration() * shifted, 1e-3)
        low, high = np.quantile(defined, ndtr(bias + shifted / stretch))
        return float(low), float(high)

    def _acceleration(self) -> float:
        deviations = self.jackknife[np.isfinite(self.jackknife)]
        deviations = deviations.mean() - deviations
        spread = (deviations**2).sum()
        return 0.0 if spread == 0 else float((deviations**3).sum() / (6 * spread**1.5))


def estimate(statistic: str, sample: Sample, resamples: int, seed: int) -> Estimate:
    """The statistic of a sample with the replicates that its interval needs."""
    function = estimator(statistic, sample)
    weights = bootstrap_weights(sample.count, resamples, seed)
    return Estimate(
        value=float(function(np.ones((1, sample.count)))[0]),
        replicates=evaluate(function, weights) if sample.draws is None else _over_draws(statistic, sample, weights),
        jackknife=leave_one_out(function, sample.count),
        clusters=len(np.unique(sample.clusters)),
    )


def _over_draws(statistic: str, sample: Sample, weights: NDArray[np.uint8]) -> Array:
    """The statistic under each row of weights, each with the values of one draw, in turn.

    Draws and resamples are independent, so their variances add. Estimates of the same draws meet in the same rows: what
    a draw does to both arms of a difference cancels there.
    """
    draws = sample.draws
    assert draws is not None
    count = draws.shape[1]
    replicates = np.empty(len(weights))
    for at in range(min(count, len(weights))):
        drawn = estimator(statistic, replace(sample, values=draws[:, at], draws=None))
        replicates[at::count] = evaluate(drawn, weights[at::count])
    return replicates


def swap_test(statistic: str, ours: Sample, theirs: Sample, resamples: int, seed: int) -> float:
    """The two-sided p-value of no difference between paired arms: each cluster's arms are swapped at random.

    The samples hold the same items in the same order. Exact (every swap enumerated) for few clusters that differ; for
    binary items in clusters of one it is McNemar's exact test. Swaps that leave the statistic undefined count as
    extreme.
    """
    active = np.unique(ours.clusters[~_same(ours.values, theirs.values) | ~_same(ours.labels, theirs.labels)])
    if not len(active):
        return 1.0
    # Clusters whose arms are equal are one cluster that never swaps.
    renumbered = np.zeros(ours.count, dtype=np.intp)
    renumbered[active] = np.arange(1, len(active) + 1)
    arms = [Sample(arm.values, arm.labels, renumbered[arm.clusters], len(active) + 1) for arm in (ours, theirs)]
    both = estimator(statistic, arms[0].beside(arms[1]))

    def difference(rows: Array) -> Array:
        swapped = np.hstack([np.zeros((len(rows), 1)), rows])
        return both(np.hstack([1 - swapped, swapped])) - both(np.hstack([swapped, 1 - swapped]))

    swaps = swap_weights(len(active), resamples, seed)
    observed = abs(difference(np.zeros((1, len(active))))[0])
    extreme = int(np.sum(~(np.abs(evaluate(difference, swaps)) < observed * (1 - 1e-9) - 1e-12)))
    enumerated = 2 ** len(active) <= resamples
    return extreme / len(swaps) if enumerated else (extreme + 1) / (len(swaps) + 1)


def _same(first: Array, second: Array) -> NDArray[np.bool_]:
    return (first == second) | (np.isnan(first) & np.isnan(second))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979); NaN stays NaN and counts as no test."""
    values = np.asarray(p_values, dtype=float)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    corrected = np.full(len(values), np.nan)
    steps = values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if len(order) else steps
    return corrected.tolist()
