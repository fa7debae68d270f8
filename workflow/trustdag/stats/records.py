"""A vertical's records of all policies, checked and arranged by metric: items in rows, policies in columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trustdag.artifacts import read_table
from trustdag.errors import UserError
from trustdag.layout import records_file
from trustdag.stats.design import Policy, StudyDesign
from trustdag.stats.estimators import Array, Sample, is_known
from trustdag.verticals.base import RECORD_COLUMNS, STATUSES, Metric, with_variants

ALL = "all"
"""The condition that stands for all of a metric's items."""
FACET = "="
"""In a condition such as `topic=greed`: the items of one value of a facet, under whatever condition they were asked."""
ABSENT = -1
PARSED = STATUSES.index("parsed")


def facet_of(condition: str) -> tuple[str, str] | None:
    """The facet and its value that a condition such as `topic=greed` stands for; None for any other.

    Returns:
        The facet's name and its value.
    """
    name, mark, value = condition.partition(FACET)
    return (name, value) if mark else None


@dataclass(frozen=True)
class Grid:
    """One metric under one condition: (policies, items) of values, labels and statuses; the items in sorted order."""

    metric: Metric
    condition: str
    policies: dict[str, int]
    """The row of each policy."""
    values: Array
    labels: Array
    statuses: NDArray[np.int8]
    """Index into STATUSES, or ABSENT."""
    clusters: NDArray[np.intp]
    """Index of each item's cluster."""
    population: str = "cluster"
    """What a cluster is, such as a topic: the interval is over others that might have been drawn in their place."""
    draws: Array | None = None
    """(policies, items, draws), the values under each refit of a calibration; None where there is none."""

    @property
    def cluster_count(self) -> int:
        """How many clusters the items of all policies form."""
        return int(self.clusters.max()) + 1 if len(self.clusters) else 0

    def counts(self, policy: str) -> dict[str, int]:
        """`n`, and how many of the n records have each status. What a ratio's denominator leaves out is not counted."""
        found = self.statuses[self.policies[policy]]
        if self.metric.statistic == "ratio":
            found = np.where((found == PARSED) & (self.labels[self.policies[policy]] <= 0), ABSENT, found)
        return {"n": int(np.sum(found != ABSENT))} | {
            name: int(np.sum(found == code)) for code, name in enumerate(STATUSES)
        }

    def parsed(self, policy: str) -> NDArray[np.bool_]:
        """Which items count for a policy."""
        return self.statuses[self.policies[policy]] == PARSED

    def sample(self, policy: str, items: NDArray[np.bool_]) -> Sample:
        """A policy's records of the chosen items."""
        row = self.policies[policy]
        draws = None if self.draws is None else self.draws[row, items]
        return Sample(self.values[row, items], self.labels[row, items], self.clusters[items], self.cluster_count, draws)


def metrics_of(vertical: str) -> dict[str, Metric]:
    """The metrics that a vertical defines, by name, in its order."""
    metrics: tuple[Metric, ...] = import_module(f"trustdag.verticals.{vertical}").METRICS
    for metric in metrics:
        if not is_known(metric.statistic):
            raise KeyError(f"{vertical}.{metric.name}: no statistic `{metric.statistic}` in stats/estimators.py")
    return {metric.name: metric for metric in metrics}


def read_vertical(design: StudyDesign, root: Path, vertical: str) -> pd.DataFrame:
    """Every policy's records of a vertical, with the column `policy`. Raises UserError for a file without records.

    Args:
        design: the study's policies and verticals.
        root: the folder of records.
        vertical: the vertical's name.
    """
    frames = []
    for policy in design.policies:
        frames.append(_read(records_file(root, policy.id, vertical)).assign(policy=policy.id))
    return pd.concat(frames, ignore_index=True)


def _read(path: Path) -> pd.DataFrame:
    records = read_table(path, RECORD_COLUMNS, "records")
    if records.empty:
        raise UserError(f"{path}: holds no record; delete the file and score again")
    unknown = set(records["status"]) - set(STATUSES)
    if unknown:
        raise UserError(f"{path}: status `{sorted(unknown)[0]}` is none of {', '.join(STATUSES)}; score again")
    doubled = records.duplicated(["metric", "item"])
    if doubled.any():
        first = records[doubled].iloc[0]
        raise UserError(f"{path}: item `{first['item']}` stands twice under `{first['metric']}`; score again")
    bad = records["status"].eq("parsed") & ~np.isfinite(records["value"].to_numpy(dtype=float))
    if bad.any():
        first = records[bad].iloc[0]
        raise UserError(
            f"{path}: `{first['metric']}` of `{first['item']}` is parsed but has the value {first['value']}"
        )
    return records


def grids(records: pd.DataFrame, metrics: dict[str, Metric], policies: tuple[Policy, ...]) -> Iterator[Grid]:
    """Each metric's grid over all its items, over each condition's, and over each value's of its facets.

    A condition or facet that all items share gives none of its own. Raises UserError for records of a metric that the
    vertical does not define, and for an item whose cluster, condition or facet differs between policies.

    Args:
        records: a vertical's records of all policies.
        metrics: the vertical's metrics by name.
        policies: the policies, in the order of the grids' rows.
    """
    metrics = with_variants(metrics, records["metric"])
    unknown = set(records["metric"]) - set(metrics)
    if unknown:
        raise UserError(
            f"records hold the metric `{sorted(unknown)[0]}`, which the vertical does not define; score again"
        )
    for name, metric in metrics.items():
        chosen = records[records["metric"] == name]
        if chosen.empty:
            continue
        _check_labels(chosen, metric)
        whole, facts = _arrange(chosen, metric, [policy.id for policy in policies])
        yield whole
        for name in ("condition", *metric.facets):
            of_items = facts[name].to_numpy(dtype=object)
            different = sorted(set(of_items))
            for value in different if len(different) > 1 else []:
                condition = value if name == "condition" else f"{name}{FACET}{value}"
                yield _subset(whole, condition, of_items == value, facts)


def _check_labels(records: pd.DataFrame, metric: Metric) -> None:
    """Raises UserError where a statistic of values and labels lacks a label, or has a probability that is none."""
    parsed = records[records["status"] == "parsed"]
    if metric.statistic != "mean" and parsed["label"].isna().any():
        item = parsed.loc[parsed["label"].isna(), "item"].iloc[0]
        raise UserError(f"{metric.name}: item `{item}` has no label, which `{metric.statistic}` needs; score again")
    if metric.statistic == "ece" and not parsed["value"].between(0, 1).all():
        item = parsed.loc[~parsed["value"].between(0, 1), "item"].iloc[0]
        raise UserError(f"{metric.name}: the value of item `{item}` is no probability; score again")


def _arrange(records: pd.DataFrame, metric: Metric, policies: list[str]) -> tuple[Grid, pd.DataFrame]:
    """The grid over all items, and the items' conditions and facets in the same order."""
    columns = ["item", "cluster", "condition", *metric.facets]
    missing = [name for name in columns if name not in records]
    if missing:
        raise UserError(f"{metric.name}: the records have no column `{missing[0]}`; score again")
    facts = records[columns].drop_duplicates().sort_values("item")
    doubled = facts["item"].duplicated()
    if doubled.any():
        item = facts.loc[doubled, "item"].iloc[0]
        kinds = ", ".join(columns[1:-1]) + f" or {columns[-1]}"
        raise UserError(f"{metric.name}: item `{item}` has another {kinds} in another policy; score again")
    rows = {policy: row for row, policy in enumerate(policies)}
    place = (records["policy"].map(rows).to_numpy(), pd.Index(facts["item"]).get_indexer(records["item"]))
    shape = (len(policies), len(facts))
    values, labels = np.full(shape, np.nan), np.full(shape, np.nan)
    statuses = np.full(shape, ABSENT, dtype=np.int8)
    values[place], labels[place] = records["value"], records["label"]
    statuses[place] = records["status"].map({name: code for code, name in enumerate(STATUSES)})
    clusters = np.unique(facts["cluster"].to_numpy(dtype=str), return_inverse=True)[1]
    draws = _draws(records, metric, place, shape)
    return Grid(metric, ALL, rows, values, labels, statuses, clusters, _population(facts["cluster"]), draws), facts


def _population(clusters: pd.Series) -> str:
    """What clusters such as `topic=greed` are: `topic`; `cluster` where they do not all say the same."""
    units = set(clusters.astype(str).str.partition(FACET)[0]) if clusters.str.contains(FACET).all() else set()
    return units.pop() if len(units) == 1 else "cluster"


def _draws(records: pd.DataFrame, metric: Metric, place: tuple[Any, Any], shape: tuple[int, int]) -> Array | None:
    """The column `draws` arranged; None where no record has any. Raises UserError where only some have as many."""
    given = records["draws"].notna().to_numpy() if "draws" in records else np.zeros(len(records), dtype=bool)
    if not given.any():
        return None
    held = [np.asarray(draws, dtype=np.float64) for draws in records["draws"][given]]
    parsed = records["status"].eq("parsed").to_numpy()
    if len({len(draws) for draws in held}) > 1 or (parsed & ~given).any():
        raise UserError(f"{metric.name}: not all policies were scored with the same calibration; score again")
    draws = np.full((*shape, len(held[0])), np.nan)
    draws[place[0][given], place[1][given]] = held
    return draws


def _subset(grid: Grid, condition: str, items: NDArray[np.bool_], facts: pd.DataFrame) -> Grid:
    """The grid over some items. Items that share one cluster are clustered by the metric's other facet, if it has one.

    The statements about one topic, for example, are a sample of groups, and of nothing else.
    """
    clusters, population = np.unique(grid.clusters[items], return_inverse=True)[1], grid.population
    facet = facet_of(condition)
    others = [name for name in grid.metric.facets if facet is not None and name != facet[0]]
    if others and len(clusters) and clusters.max() == 0:
        population = others[0]
        clusters = np.unique(facts.loc[items, population].to_numpy(dtype=str), return_inverse=True)[1]
    return Grid(
        grid.metric,
        condition,
        grid.policies,
        grid.values[:, items],
        grid.labels[:, items],
        grid.statuses[:, items],
        clusters,
        population,
        None if grid.draws is None else grid.draws[:, items],
    )
