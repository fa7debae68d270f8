"""The settings of statistics."""

from pydantic import Field

from trustdag.settings import Section, Seed


class StatisticsSettings(Section):
    """Settings of intervals and tests. A change re-runs only the statistics and the rules after them."""

    resamples: int = Field(10_000, ge=100, le=100_000)
    """Number of random swaps of a paired test with too many to try all. The least p-value is 1 / (resamples + 1)."""
    level: float = Field(0.95, gt=0.5, lt=1)
    """Coverage of the intervals; 1 - level is the significance level."""
    power: float = Field(0.8, gt=0.5, lt=1)
    """Power of the smallest detectable difference."""
    seed: Seed = 0
    """Seed of the random swaps."""
