"""Sign flips of clusters' paired differences, and Holm's correction."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from trustdag.stats.estimators import Array
from trustdag.stats.intervals import Estimate

CELLS_AT_ONCE = 4_000_000
"""Number of elements of the largest temporary array; it keeps memory near 50 MB for the largest benchmarks."""


ENOUGH_EXTREMES = 400
"""Number of equally extreme random flips after which sampling stops; p-value error 5 % (Besag and Clifford 1991)."""

NEGLIGIBLE = 1e-4
"""Probability below which no random flips are drawn."""


def flips(clusters: int, resamples: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Flipped clusters, in blocks of rows: every combination once if there are at most `resamples`, else random ones.

    Each array is (combinations, clusters), entries 0 or 1.

    Args:
        clusters: number of clusters.
        resamples: largest number of combinations.
        seed: seed of the random combinations.
    """
    if 2**clusters <= resamples:
        yield (np.arange(2**clusters)[:, None] >> np.arange(clusters)[None, :] & 1).astype(np.uint8)
        return
    generator = np.random.default_rng([seed, clusters, 1])
    width = -(-clusters // 8)
    step = max(1, CELLS_AT_ONCE // clusters)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = np.frombuffer(generator.bytes(rows * width), dtype=np.uint8).reshape(rows, width)
        yield np.unpackbits(drawn, axis=1, count=clusters)


def flip_test(change: Estimate, resamples: int, seed: int) -> float:
    """The two-sided p-value of no difference between paired arms, by swapping the arms of clusters at random.

    A cluster's contribution to the difference is its share of it plus its influence. Swapping the arms of a cluster
    flips the sign of its contribution. The sum of squared contributions does not depend on the signs. So this is also
    the test of the studentized difference (Chung and Romano 2013), which is valid if the arms differ in other ways too:
    a change of level that both classes share is in no influence, and the influences of a ranking are those of ranks
    within each arm (Venkatraman and Begg 1996). For binary items in clusters of one it is McNemar's exact test. If few
    clusters differ, it is exact (every combination).

    Args:
        change: the estimated difference of the arms.
        resamples: largest number of combinations.
        seed: seed of the random combinations.
    """
    if not np.isfinite(change.value):
        return float("nan")
    active = contributions(change)
    active = active[np.abs(active) > 1e-12]
    if not len(active):
        return 1.0
    # Single precision is exact for binary items (counts). For others, the tolerance keeps ties with the observed sum.
    active = (active / np.abs(active).max()).astype(np.float32)
    bound = abs(active.sum()) - 1e-6 * np.abs(active).sum()
    if 2 ** len(active) > resamples and _is_out_of_reach(bound, active, resamples):
        return 1 / (resamples + 1)
    extreme = drawn = 0
    for chosen in flips(len(active), resamples, seed):
        sums = active.sum() - 2 * (chosen.astype(np.float32) @ active)
        extreme, drawn = extreme + int(np.sum(np.abs(sums) >= bound)), drawn + len(sums)
        if extreme >= ENOUGH_EXTREMES and drawn < resamples:
            break
    return extreme / drawn if 2 ** len(active) <= resamples else (extreme + 1) / (drawn + 1)


def _is_out_of_reach(bound: float, active: Array, resamples: int) -> bool:
    """Whether the probability of a sum this extreme in `resamples` flips is below NEGLIGIBLE (Hoeffding 1963)."""
    return 2 * resamples * float(np.exp(-(bound**2) / 2 / float(active.astype(np.float64) @ active))) < NEGLIGIBLE


def least_p(clusters: int, resamples: int) -> float:
    """The smallest possible p-value of `flip_test` with this number of clusters."""
    return 2 / 2**clusters if 2**clusters <= resamples else 1 / (resamples + 1)


def contributions(change: Estimate) -> Array:
    """(clusters,): each cluster's share of the difference plus its influence; sums to the difference."""
    shares = np.mean([part.shares for part in change.parts], axis=0)
    influences: Array = sum((part.coefficient * part.influences for part in change.parts), np.zeros_like(shares))
    return change.value * shares + influences


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979); NaN stays NaN and counts as no test."""
    values = np.asarray(p_values, dtype=float)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    corrected = np.full(len(values), np.nan)
    steps = values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if len(order) else steps
    return corrected.tolist()
