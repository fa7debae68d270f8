"""Families of changes whose p-values are corrected together, and verdicts."""

from typing import Any

import numpy as np
import pandas as pd

from trustdag.stats.estimators import Array
from trustdag.stats.records import facet_of
from trustdag.stats.resampling import holm
from trustdag.stats.settings import StatisticsSettings

NOT_TESTED = "not tested"
"""The verdict if there are too few training seeds for a test of a mean change."""
ANSWER = "answer"
"""The family of all headline changes in the report's answer."""


def corrected(
    differences: pd.DataFrame, seeds: pd.DataFrame, settings: StatisticsSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Adds `p_holm`, `family` (number of changes that were corrected together), `verdict` and `detectable`.

    Args:
        differences: Changes of policies, with their `power`, and `many_seeds` if the policy is one of several seeds.
        seeds: Changes over training seeds, with their `power`, and values (reference empty).
        settings: Level and power.

    Returns:
        Both tables.
    """
    names = [
        pd.Series([_family(row, over_seeds) for row in _rows(table)], index=table.index, dtype=object)
        for table, over_seeds in ((differences, False), (seeds, True))
    ]
    together = pd.concat(names, ignore_index=True)
    p_values = np.concatenate([differences["p"].to_numpy(dtype=float), seeds["p"].to_numpy(dtype=float)])
    p_holm, sizes = np.full(len(p_values), np.nan), np.ones(len(p_values), dtype=int)
    for members in together[together != ""].groupby(together).indices.values():
        places = np.flatnonzero(together != "")[members]
        p_holm[places] = holm(p_values[places].tolist())
        sizes[places] = max(1, int(np.isfinite(p_values[places]).sum()))
    split = len(differences)
    return (
        _filled(differences, "difference", p_holm[:split], sizes[:split], settings),
        _filled(seeds, "value", p_holm[split:], sizes[split:], settings),
    )


def _filled(table: pd.DataFrame, change: str, p_holm: Array, sizes: Any, settings: StatisticsSettings) -> pd.DataFrame:
    decisive = np.where(np.isnan(p_holm), table["p"].to_numpy(dtype=float), p_holm)
    verdicts = [
        verdict(value, p, settings.level) if reference else ""
        for reference, value, p in zip(table["reference"], table[change], decisive, strict=True)
    ]
    detectable = [power.detectable(int(size), settings) for power, size in zip(table["power"], sizes, strict=True)]
    return table.assign(p_holm=p_holm, family=sizes, verdict=verdicts, detectable=detectable)


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _family(row: dict[str, Any], over_seeds: bool) -> str:
    """The family of a row's p-value; empty for a p-value that is not corrected.

    The report's answer is one family. If it is about means over training seeds, the changes of each seed are a separate
    family, as in a study of that seed alone.
    """
    facet = facet_of(row["condition"])
    if over_seeds and not row["reference"]:
        return ""
    if facet is not None:
        policy = [row["model"], row["preferences"], row["recipe"], over_seeds or row["seed"], row["reference"]]
        return " ".join(map(str, [*policy, row["vertical"], row["metric"], facet[0]]))
    if not row["headline"]:
        return ""
    return f"seed {row['seed']}" if not over_seeds and row["many_seeds"] else ANSWER


def verdict(difference: float, p: float, level: float) -> str:
    """`rose` or `fell` if the test finds a change, `no change found` if not, NOT_TESTED without a test.

    Empty without a difference.

    Args:
        difference: the estimated change.
        p: the corrected p-value; NaN without a test.
        level: the level of significance.
    """
    if np.isnan(difference):
        return ""
    if np.isnan(p):
        return NOT_TESTED
    if p >= 1 - level:
        return "no change found"
    return "rose" if difference > 0 else "fell"
