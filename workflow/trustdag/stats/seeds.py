"""Several training seeds on the same items: the mean over seeds, with both sources of variance in its interval."""

from dataclasses import replace

import numpy as np

from trustdag.stats.estimators import Array, Part, Spread
from trustdag.stats.intervals import Estimate, of_parts

LEAST_SEEDS = 3
"""Least number of seeds for a test. With fewer, the variance between seeds is too uncertain."""


def over_seeds(estimates: list[Estimate]) -> Estimate:
    """The mean over training seeds as one estimate, with seeds and items as crossed random effects.

    With s seeds, the variance of the mean is var_seed / s + var_item + var_interaction / s. The variance between the
    seeds' values contains the first and last term; the items' influences on the mean over seeds contain the second and
    last. Their sum counts the interaction twice, so it is subtracted once. It is the part of the seeds' own variances
    that averaging removes (crossed design: Owen 2007, "The pigeonhole bootstrap", section 2). Equal seeds count as one.
    The variance between a few seeds is uncertain. So each source has its own quantile of Student's t, and the squares
    of both margins are added (Cochran 1964). Satterthwaite's degrees of freedom assume that both variances are well
    known; their intervals cover too little: .86 to .91 for two and three seeds that differ.
    """
    count = len(estimates)
    means = of_parts([_mean_part(members) for members in zip(*(one.parts for one in estimates), strict=True)])
    values = np.array([[part.value for part in one.parts] for one in estimates])
    between = np.atleast_2d(np.cov(values, rowvar=False)) / count
    if not np.isfinite(means.value):
        return means
    of_one = np.mean([one.covariance for one in estimates], axis=0)
    interaction = (of_one - means.covariance) / (count - 1)
    coefficients = means.coefficients
    terms = [float(coefficients @ matrix @ coefficients) for matrix in (between, means.covariance, interaction)]
    whole = max(terms[0] + terms[1] - max(terms[2], 0.0), terms[0], terms[1])
    scale = whole / (terms[0] + terms[1]) if terms[0] + terms[1] > 0 else 1.0
    freedom = _freedom(terms[0], max(whole - terms[0], 0.0), count - 1.0, means.freedom)
    return replace(means, covariance=(between + means.covariance) * scale, freedom=freedom)


def _freedom(between: float, items: float, of_seeds: float, of_items: float) -> float:
    """The degrees of freedom whose 95 % quantile of Student's t is that of both sources, weighted by variance."""
    from scipy.special import stdtridf, stdtrit

    if between + items == 0 or of_items <= 0:
        return of_items
    squares = stdtrit(of_seeds, 0.975) ** 2 * between + stdtrit(of_items, 0.975) ** 2 * items
    return float(stdtridf(0.975, np.sqrt(squares / (between + items))))


def seed_deviation(estimates: list[Estimate]) -> float:
    """The standard deviation of the statistic between seeds."""
    return float(np.std([one.value for one in estimates], ddof=1))


def _mean_part(members: tuple[Part, ...]) -> Part:
    """One mean of the statistic, averaged over seeds."""
    first = members[0]
    influences = _average([part.influences for part in members])
    alone = float(np.mean([(part.influences**2).sum() for part in members]))
    # Averaging over seeds reduces the items' variance and the design effect by the same factor.
    kept = float((influences**2).sum()) / alone if alone > 0 else 1.0
    spread = Spread(
        float(np.mean([part.spread.records for part in members])),
        float(np.mean([part.spread.design for part in members])) * kept,
        float(np.mean([part.spread.events for part in members])),
    )
    drawn = [part.draws for part in members if part.draws is not None]
    return replace(
        first,
        value=float(np.mean([part.value for part in members])),
        influences=influences,
        shares=_average([part.shares for part in members]),
        trials=min(part.trials for part in members),
        freedom=min(part.freedom for part in members),
        spread=spread,
        is_rate=all(part.is_rate for part in members),
        labelled=sum(part.labelled for part in members),
        draws=_average(drawn) if len(drawn) == len(members) else None,
    )


def _average(arrays: list[Array]) -> Array:
    return np.mean(arrays, axis=0)
