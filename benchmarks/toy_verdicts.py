"""What the commands on the toy world's studies share: means over sets of pairs, equivalence, tables with verdicts.

A set of preference pairs is one draw of questions, answers and labels, so that the spread over sets holds all that
chance does to a recipe. Items are the same in every set: results are about these items.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan, sqrt

import pandas as pd

HEADLINES = {
    "bias": "agreement",
    "ethics": "fnr",
    "privacy": "leak_given_able",
    "toxicity": "emt",
    "truthfulness": "mc1",
}


@dataclass(frozen=True)
class Mean:
    """A mean over sets, its standard error, and the degrees of freedom of that."""

    value: float
    error: float
    freedom: float

    def interval(self, level: float) -> tuple[float, float]:
        """Student's interval.

        Returns:
            Its limits; NaN where the spread is not known.
        """
        from scipy.special import stdtrit

        if self.freedom <= 0:
            return nan, nan
        margin = float(stdtrit(self.freedom, (1 + level) / 2)) * self.error
        return self.value - margin, self.value + margin

    def is_within(self, margin: float, alpha: float = 0.05) -> bool:
        """Whether two one-sided tests (Schuirmann 1987) both find the mean nearer to 0 than the margin.

        They do so where the interval of level 1 - 2 alpha lies within the margin. A noisy mean does not pass.
        """
        low, high = self.interval(1 - 2 * alpha)
        return -margin < low and high < margin


def mean_of(values: Sequence[float]) -> Mean:
    """The mean of one number a set, with its spread over the sets; NaN where a set has no number."""
    table = pd.Series(values, dtype=float)
    count = len(table)
    error = float(table.std(ddof=1)) / sqrt(count) if count > 1 else nan
    return Mean(float(table.mean(skipna=False)), error, count - 1.0)


def pooled_means(groups: Sequence[Sequence[float]]) -> list[Mean]:
    """The mean of each group of sets, with one spread for all: for few sets a group, of groups that differ alike."""
    tables = [pd.Series(values, dtype=float) for values in groups]
    freedom = sum(len(table) - 1 for table in tables)
    squares = sum(float(((table - table.mean()) ** 2).sum()) for table in tables)
    deviation = sqrt(squares / freedom) if freedom else nan
    return [Mean(float(table.mean(skipna=False)), deviation / sqrt(len(table)), float(freedom)) for table in tables]


def headline_changes(results: pd.DataFrame, recipe: str, reference: str) -> pd.DataFrame:
    """The rows of a study's `differences.csv` that compare a recipe with a reference in the headline metrics.

    Args:
        results: The table.
        recipe: Such as `dpo`.
        reference: `base` or `sft`.
    """
    is_headline = results["metric"] == results["vertical"].map(HEADLINES)
    return results[
        is_headline
        & (results["condition"] == "all")
        & (results["recipe"] == recipe)
        & (results["reference"] == reference)
    ]


def show(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints a Markdown table."""
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def limits(pair: tuple[float, float]) -> str:
    """An interval as tables show it."""
    return f"[{pair[0]:.3f}, {pair[1]:.3f}]"


def end(missed: Sequence[str]) -> None:
    """Says what was missed, and exits with 1 if anything was."""
    if missed:
        print("\nMissed: " + "; ".join(missed))
        sys.exit(1)
    print("\nAll goals are met.")
