"""The settings of statistics."""

from pydantic import Field

from trustdag.settings import Section, Seed


class StatisticsSettings(Section):
    """How intervals and tests are computed; a change re-runs statistics and what follows, nothing else."""

    resamples: int = Field(10_000, ge=100, le=100_000)
    """Random swaps of a paired test with too many to try them all: no p-value is below 1 / (resamples + 1)."""
    level: float = Field(0.95, gt=0.5, lt=1)
    """Coverage of the intervals; 1 - level is the significance level."""
    power: float = Field(0.8, gt=0.5, lt=1)
    """Power at which the smallest detectable difference is stated."""
    seed: Seed = 0
    """Seed of the random swaps."""
