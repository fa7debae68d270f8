"""The smallest difference that the sign-flip test detects with a given power."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from trustdag.stats.estimators import Array
from trustdag.stats.intervals import Estimate
from trustdag.stats.resampling import contributions, flips, least_p
from trustdag.stats.seeds import LEAST_SEEDS
from trustdag.stats.settings import StatisticsSettings

CANNOT_BE_FOUND = float("inf")
FEW = 24
"""Up to this number of clusters the test's power is simulated, because it has too few p-values for Student's t."""
STUDIES = 3200
"""Number of simulated studies, for an error of the power of .007."""
MAY_BE_ALIKE = 3
"""The test must be able to reject with this number of clusters without a difference, and not depend on single ones."""


@dataclass(frozen=True)
class Power:
    """The quantities from which the smallest detectable difference is computed."""

    error: float
    """Half the interval's width over Student's t quantile: the standard error, or more near a limit of the range."""
    step: float
    """Half of the least step between two differences that the test distinguishes; 0 for a continuous difference."""
    freedom: float
    clusters: int
    """Number of clusters whose arms the test swaps; 0 for Student's t test: over training seeds, or with labels."""
    bound: float
    """The largest possible difference. For a difference above half of it the contributions are far from normal, so the
    power is unknown."""

    def detectable(self, family: int, settings: StatisticsSettings) -> float:
        """The smallest true difference, up to half of the range, that is detected with the set power.

        CANNOT_BE_FOUND if there is none.

        The sum of the quantiles of corrected level and power, times the standard error (Cohen 1988, section 2), plus
        half a step (a continuity correction). NaN without an interval.

        Args:
            family: Number of changes that are corrected together; the first step of Holm's correction divides by it.
            settings: Level, power and resamples.
        """
        level = (1 - settings.level) / family
        if not self.error >= 0:
            return float("nan")
        if self.freedom <= 0 or (self.clusters and self._is_out_of_reach(level, settings.resamples)):
            return CANNOT_BE_FOUND
        if 0 < self.clusters <= FEW:
            errors = _errors_of_flips(self.clusters, level, settings.power, settings.resamples)
        else:
            errors = _errors_of_t(self.freedom, level, settings.power)
        smallest = errors * self.error + self.step
        return smallest if smallest <= self.bound / 2 else CANNOT_BE_FOUND

    def _is_out_of_reach(self, level: float, resamples: int) -> bool:
        """Whether no p-value can be below the level, if the arms are equal in MAY_BE_ALIKE clusters."""
        differ = self.clusters - MAY_BE_ALIKE
        return least_p(self.clusters, resamples) >= level or differ < 1 or 2 / 2**differ >= level


NO_POWER = Power(np.nan, 0.0, 0.0, 0, 0.0)
"""The power of an undefined change."""


def power_of(change: Estimate, settings: StatisticsSettings, arms: int = 1, seeds: int | None = None) -> Power:
    """The power of the test of a difference.

    Args:
        change: The difference; or one arm, for a difference of two such independent arms.
        settings: Level and resamples.
        arms: 1 for a difference, 2 for one arm of two.
        seeds: The number of training seeds of a test over seeds; None for a test that swaps clusters.
    """
    low, high = change.interval(settings.level)
    error = (high - low) / 2 / change.quantile((1 + settings.level) / 2) * np.sqrt(arms)
    bound = sum(abs(part.coefficient) for part in change.parts)
    if not all(part.is_rate or part.is_change for part in change.parts):
        bound = np.inf
    elif all(part.is_rate for part in change.parts) and _has_two_arms(change):
        # A mean's rise and fall, or two arms: each of the two could be as large as the difference.
        bound = bound if arms == 2 else bound / 2
    if seeds is not None:
        return Power(error, 0.0, change.freedom if seeds >= LEAST_SEEDS else 0.0, 0, bound)
    if change.labelled:
        return Power(error, 0.0, change.freedom, 0, bound)
    step = half_step(contributions(change)) if arms == 1 else 0.0
    return Power(error, step, change.freedom, change.clusters, bound)


def _has_two_arms(change: Estimate) -> bool:
    return change.parts[0].is_change or any(part.coefficient < 0 for part in change.parts)


def half_step(values: Array) -> float:
    """Half of the least change of the sum by a sign flip: the least value, if all are multiples of it."""
    sizes = np.abs(values[np.abs(values) > 1e-12])
    if not len(sizes):
        return 0.0
    multiples = sizes / sizes.min()
    return float(sizes.min()) if np.abs(multiples - multiples.round()).max() < 1e-6 else 0.0


def _errors_of_t(freedom: float, level: float, power: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - level / 2) + stdtrit(freedom, power))


@lru_cache(maxsize=256)
def _errors_of_flips(clusters: int, level: float, power: float, resamples: int) -> float:
    """Size of the difference in standard errors, for normal contributions of this number of clusters."""
    from scipy.special import ndtri

    shifts, p_values = _simulated(clusters, resamples)
    powers = (p_values < level).mean(axis=1)
    if powers[-1] < power:
        return float("inf")
    # The quantile of the power is almost a line in the difference.
    quantiles = ndtri(np.clip(np.maximum.accumulate(powers), 1 / STUDIES, 1 - 1 / STUDIES))
    return float(np.interp(ndtri(power), quantiles, shifts))


@lru_cache(maxsize=64)
def _simulated(clusters: int, resamples: int) -> tuple[Array, Array]:
    """Differences in standard errors, (shifts,), and p-values of simulated studies of each, (shifts, STUDIES).

    Each study has random flips of its own: those that all studies shared would err alike in the far tail.
    """
    half = np.random.default_rng([clusters, 2]).normal(size=(STUDIES // 2, clusters)).astype(np.float32)
    noise = np.concatenate([half, -half])  # Their mean is exactly 0.
    shifts = np.linspace(2, 9, 15)
    most = min(resamples, 4096)
    exact = 2**clusters <= most
    p_values = np.empty((len(shifts), STUDIES))
    for study, own in enumerate(noise):
        signs = np.concatenate(list(flips(clusters, most, study))).astype(np.float32) * 2 - 1
        of_noise, of_shift = signs @ own, signs.sum(axis=1) / np.float32(np.sqrt(clusters))
        sums = np.abs(of_noise[None, :] + shifts[:, None].astype(np.float32) * of_shift[None, :])
        bounds = np.abs(own.sum() + shifts * np.sqrt(clusters))[:, None]
        extreme = (sums >= bounds * (1 - 1e-5)).sum(axis=1)
        p_values[:, study] = extreme / len(signs) if exact else (extreme + 1) / (len(signs) + 1)
    return shifts, p_values
