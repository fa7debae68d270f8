"""Several training seeds asked the same items: the mean over seeds, with both sources of chance in its interval."""

from typing import Any

import numpy as np

from trustdag.stats.resampling import Estimate


def over_seeds(estimates: list[Estimate], level: float) -> dict[str, Any]:
    """The mean over training seeds, its interval and p-value, for seeds and items as crossed random effects.

    With s seeds, the variance of the mean is var_seed / s + var_item + var_interaction / s. The spread between the
    seeds' values holds the first and last term; the bootstrap of the mean over seeds (the same resampled items for
    every seed) holds the second and last. Their sum counts the interaction twice, so it is taken off once; it is what
    averaging removes from the seeds' own bootstrap variances (crossed design: Owen 2007, "The pigeonhole bootstrap",
    section 2).
    Degrees of freedom after Satterthwaite (1946).
    """
    from scipy.special import stdtr, stdtrit

    values = np.array([found.value for found in estimates])
    count = len(values)
    mean = float(values.mean())
    between = float(values.var(ddof=1)) / count
    replicates = np.stack([found.replicates for found in estimates])
    replicates = replicates[:, np.isfinite(replicates).all(axis=0)]
    clusters = min(found.clusters for found in estimates)
    empty = {"low": np.nan, "high": np.nan, "standard_error": np.nan, "p": np.nan}
    facts = {"seeds": count, "value": mean, "seed_deviation": float(values.std(ddof=1))}
    if clusters < 2 or replicates.shape[1] < 2 or not np.isfinite(mean):
        return facts | empty
    unbiased = clusters / (clusters - 1)
    of_mean = float(replicates.mean(axis=0).var(ddof=1)) * unbiased
    of_one = float(replicates.var(axis=1, ddof=1).mean()) * unbiased
    interaction = max(0.0, (of_one - of_mean) / (count - 1))
    variance = max(between + of_mean - interaction, between, of_mean)
    if variance == 0:
        return facts | empty
    freedom = variance**2 / (between**2 / (count - 1) + of_mean**2 / (clusters - 1))
    error = float(np.sqrt(variance))
    margin = float(stdtrit(freedom, (1 + level) / 2)) * error
    p = float(2 * stdtr(freedom, -abs(mean) / error))
    return facts | {"low": mean - margin, "high": mean + margin, "standard_error": error, "p": p}
