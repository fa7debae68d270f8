"""A vertical's records of all policies, checked and arranged for each metric: policies in rows, items in columns."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import union_categoricals

from trustdag.artifacts import read_table
from trustdag.errors import UserError
from trustdag.layout import records_file
from trustdag.stats.design import Policy, StudyDesign
from trustdag.stats.estimators import Array, Sample, is_known
from trustdag.stats.labels import Labels
from trustdag.stats.outcomes import Meaning, meaning_of
from trustdag.stats.prediction_powered import LabelledSample
from trustdag.verticals import vertical as vertical_module
from trustdag.verticals.base import RECORD_COLUMNS, STATUSES, Metric, with_variants

ALL = "all"
"""The condition of all items of a metric together."""
FACET = "="
"""Separator in a condition such as `topic=greed`: the items with one value of a facet, under any condition."""
ABSENT = -1
PARSED = STATUSES.index("parsed")


def facet_of(condition: str) -> tuple[str, str] | None:
    """The facet and its value in a condition such as `topic=greed`; None for any other condition.

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
    classes: Array
    """The records' labels, such as the class of an item; NaN if the statistic needs none."""
    statuses: NDArray[np.int8]
    """Index into STATUSES, or ABSENT."""
    clusters: NDArray[np.intp]
    """Index of each item's cluster."""
    population: str = "cluster"
    """The kind of the clusters, such as topics. Intervals generalize to other clusters of this population."""
    draws: Array | None = None
    """(policies, items, draws), the values with each refit of a calibration; None without a calibration."""
    weights: Array | None = None
    """(policies, items), the share of an item's samples that were read; None where all of them were."""
    items: NDArray[np.str_] | None = None
    """The items' names; None if there are no labels."""
    labels: Labels | None = None
    """Human labels of the replies; None if there are none, or they do not apply to the metric."""
    meaning: Meaning | None = None
    """The meaning of the labels for the metric."""

    @property
    def cluster_count(self) -> int:
        """Number of clusters of the items of all policies."""
        return int(self.clusters.max()) + 1 if len(self.clusters) else 0

    def counts(self, policy: str) -> dict[str, int]:
        """`n`, and the number of records with each status, without those that a ratio's denominator does not count."""
        statuses = self.statuses[self.policies[policy]]
        if self.metric.statistic == "ratio":
            statuses = np.where((statuses == PARSED) & (self.classes[self.policies[policy]] <= 0), ABSENT, statuses)
        return {"n": int(np.sum(statuses != ABSENT))} | {
            name: int(np.sum(statuses == code)) for code, name in enumerate(STATUSES)
        }

    def parsed(self, policy: str) -> NDArray[np.bool_]:
        """(items,): whether each item counts for a policy."""
        return self.statuses[self.policies[policy]] == PARSED

    def sample(self, policy: str, items: NDArray[np.bool_]) -> Sample:
        """A policy's records of the chosen items."""
        row = self.policies[policy]
        draws = None if self.draws is None else self.draws[row, items]
        values, classes = self.values[row, items], self.classes[row, items]
        weights = None if self.weights is None else self.weights[row, items]
        return Sample(values, classes, self.clusters[items], self.cluster_count, draws, weights)

    def labelled(self, policy: str) -> LabelledSample | None:
        """The asked items of a policy with their human labels; None without labels."""
        readings = self._both_readings([policy])
        if readings is None:
            return None
        (read,), (person,), weights = readings
        return self._labelled([policy], read, person, weights)

    def labelled_change(self, policy: str, reference: str) -> tuple[LabelledSample, LabelledSample] | None:
        """The items that both policies were asked, with their human labels; None without labels.

        Args:
            policy: The policy.
            reference: Its reference.

        Returns:
            The changes of the items that count for both, and the reference's values of these items.
        """
        readings = self._both_readings([policy, reference])
        if readings is None:
            return None
        read, person, weights = readings
        of_read, of_person = _over_pairs(*read), _over_pairs(*person)
        if self.weights is not None and self.metric.statistic != "ratio":
            joint = self.weights[[self.policies[policy], self.policies[reference]]].prod(axis=0)
            of_read = of_read[0] * joint, of_read[1] * joint, of_read[2] * joint
        counted = of_read[0], of_person[0]
        change, theirs = (
            self._labelled([policy, reference], (counted[0], values), (counted[1], said), weights)
            for values, said in zip(of_read[1:], of_person[1:], strict=True)
        )
        return change, theirs

    def _both_readings(
        self, policies: list[str]
    ) -> tuple[list[tuple[Array, Array]], list[tuple[Array, Array]], Array] | None:
        """Contributions of each policy's items to denominator and numerator, by the parser and by the label."""
        if self.labels is None or self.meaning is None or self.items is None:
            return None
        rows = [self.policies[name] for name in policies]
        outcomes, weights = self.labels.of(policies, self.items)
        if outcomes is None:
            return None
        said = [self._said(row, own) for row, own in zip(rows, outcomes, strict=True)]
        return [self._read(row) for row in rows], said, weights

    def _labelled(
        self, policies: list[str], read: tuple[Array, Array], person: tuple[Array, Array], weights: Array
    ) -> LabelledSample:
        rows, known = [self.policies[name] for name in policies], weights > 0
        asked = (self.statuses[rows] != ABSENT).all(axis=0)
        sample = LabelledSample(
            counted=read[0],
            values=read[1],
            classes=self.classes[rows[0]],
            clusters=self.clusters,
            count=self.cluster_count,
            person_counted=person[0] * known,
            person_values=person[1] * known,
            weights=weights,
        )
        return sample.only(asked)

    def _read(self, row: int) -> tuple[Array, Array]:
        """Contribution of each item of a policy to denominator and numerator, by the parser."""
        counted = self._denominators(row) * (self.statuses[row] == PARSED)
        if self.weights is not None and self.metric.statistic != "ratio":
            counted = counted * self.weights[row]
        scale = self._denominators(row) if self.metric.statistic == "ratio" else 1.0
        with np.errstate(divide="ignore", invalid="ignore"):
            return counted, np.where(counted > 0, counted * self.values[row] / scale, 0.0)

    def _said(self, row: int, outcomes: NDArray[np.int8]) -> tuple[Array, Array]:
        """The same by the label."""
        assert self.meaning is not None
        values = self.meaning.of(outcomes, self.classes[row])
        counted = np.where(np.isnan(values), 0.0, self._denominators(row))
        return counted, counted * np.nan_to_num(values)

    def _denominators(self, row: int) -> Array:
        if self.metric.statistic != "ratio":
            return np.ones(self.classes.shape[1])
        return np.nan_to_num(self.classes[row])


def _over_pairs(ours: tuple[Array, Array], theirs: tuple[Array, Array]) -> tuple[Array, Array, Array]:
    """For the items that count in both arms: whether each counts, its change, and the reference's value."""
    both = (ours[0] > 0) & (theirs[0] > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        own, other = (np.where(both, values / counted, 0.0) for counted, values in (ours, theirs))
    return both.astype(np.float64), own - other, other


def metrics_of(vertical: str) -> dict[str, Metric]:
    """The metrics that a vertical defines, by name, in its order."""
    metrics: tuple[Metric, ...] = vertical_module(vertical).METRICS
    for metric in metrics:
        if not is_known(metric.statistic):
            raise KeyError(f"{vertical}.{metric.name}: no statistic `{metric.statistic}` in stats/estimators.py")
    return {metric.name: metric for metric in metrics}


def read_vertical(design: StudyDesign, root: Path, vertical: str) -> pd.DataFrame:
    """Every policy's records of a vertical, with the column `policy`; texts as categories, in sorted order.

    Args:
        design: The study's policies and verticals.
        root: The folder of records.
        vertical: The vertical's name.

    Raises:
        UserError: A file holds no records.
    """
    frames = [_read(records_file(root, policy.id, vertical)) for policy in design.policies]
    shared = [column for column in frames[0].columns if all(column in frame for frame in frames)]
    texts = [column for column in shared if frames[0].dtypes[column] == "category"]
    others = frames[0].columns.union(["draws", "weight"]).difference(texts)
    whole = pd.concat([frame[frame.columns.intersection(others)] for frame in frames], ignore_index=True)
    for column in texts:
        whole[column] = union_categoricals([frame[column] for frame in frames], sort_categories=True)
    codes = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])
    whole["policy"] = pd.Categorical.from_codes(codes, pd.Index([policy.id for policy in design.policies]))
    return whole


def _read(path: Path) -> pd.DataFrame:
    records = read_table(path, RECORD_COLUMNS, "records").drop(columns="samples", errors="ignore")
    if records.empty:
        raise UserError(f"{path}: holds no record; delete the file and score again")
    for column in records.columns.difference(["value", "label", "draws", "weight"]):
        records[column] = records[column].astype(str).astype("category")
    unknown = set(records["status"].cat.categories) - set(STATUSES)
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


def grids(
    records: pd.DataFrame, vertical: str, policies: tuple[Policy, ...], labels: Labels | None = None
) -> Iterator[Grid]:
    """Each metric's grids: over all its items, those of each condition, and those of each value of its facets.

    A condition or facet value that all items share has no grid.

    Args:
        records: The result of `read_vertical`.
        vertical: Its name.
        policies: The rows of the grids.
        labels: Human labels of its replies.

    Raises:
        UserError: Records are of a metric that the vertical does not define, or an item's cluster, condition or facet
            differs between policies.
    """
    metrics = with_variants(metrics_of(vertical), records["metric"].cat.categories)
    unknown = set(records["metric"].cat.categories) - set(metrics)
    if unknown:
        raise UserError(
            f"records hold the metric `{sorted(unknown)[0]}`, which the vertical does not define; score again"
        )
    rows_of_metric = records.groupby("metric", observed=True).indices
    for name, metric in metrics.items():
        if name not in rows_of_metric:
            continue
        chosen = records.iloc[rows_of_metric[name]]
        _check_labels(chosen, metric)
        whole, facts = _arrange(chosen, metric, [policy.id for policy in policies])
        meaning = meaning_of(vertical, name)
        if labels is not None and meaning is not None:
            whole = replace(whole, items=facts["item"].to_numpy(dtype=str), labels=labels, meaning=meaning)
        yield whole
        for column in ("condition", *metric.facets):
            of_items = facts[column]
            for value in of_items.cat.categories if len(of_items.cat.categories) > 1 else []:
                condition = value if column == "condition" else f"{column}{FACET}{value}"
                yield _subset(whole, condition, (of_items == value).to_numpy(), facts)


def _check_labels(records: pd.DataFrame, metric: Metric) -> None:
    """Raises UserError if a statistic of values and labels lacks a label, or a probability is not in [0, 1]."""
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
    present, places = np.unique(records["item"].cat.codes.to_numpy(), return_inverse=True)
    facts = pd.DataFrame({"item": records["item"].cat.categories[present]})
    for name in columns[1:]:
        codes, of_items = records[name].cat.codes.to_numpy(), np.empty(len(present), dtype=np.int64)
        of_items[places] = codes
        different = of_items[places] != codes
        if different.any():
            item, kinds = facts["item"][places[different][0]], ", ".join(columns[1:-1]) + f" or {columns[-1]}"
            raise UserError(f"{metric.name}: item `{item}` has another {kinds} in another policy; score again")
        whole = pd.Categorical.from_codes(of_items, records[name].cat.categories)
        facts[name] = whole.remove_unused_categories()
    rows = {policy: row for row, policy in enumerate(policies)}
    place = (records["policy"].cat.codes.to_numpy(), places)
    shape = (len(policies), len(facts))
    values, classes = np.full(shape, np.nan), np.full(shape, np.nan)
    statuses = np.full(shape, ABSENT, dtype=np.int8)
    values[place], classes[place] = records["value"], records["label"]
    codes_of = np.array([STATUSES.index(name) for name in records["status"].cat.categories], dtype=np.int8)
    statuses[place] = codes_of[records["status"].cat.codes.to_numpy()]
    clusters = np.asarray(facts["cluster"].cat.codes, dtype=np.intp)
    draws = _draws(records, metric, place, shape)
    weights = _weights(records, place, shape)
    population = _population(facts["cluster"])
    return Grid(metric, ALL, rows, values, classes, statuses, clusters, population, draws, weights), facts


def _population(clusters: pd.Series) -> str:
    """The population of clusters such as `topic=greed`: `topic`; `cluster` if they differ."""
    names = clusters.cat.categories.astype(str)
    units = {name.partition(FACET)[0] for name in names} if all(FACET in name for name in names) else set()
    return units.pop() if len(units) == 1 else "cluster"


def _draws(records: pd.DataFrame, metric: Metric, place: tuple[Any, Any], shape: tuple[int, int]) -> Array | None:
    """The column `draws` as an array; None if no record has draws. Raises UserError if their numbers differ."""
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


def _weights(records: pd.DataFrame, place: tuple[Any, Any], shape: tuple[int, int]) -> Array | None:
    """The column `weight` arranged; None where every item counts as one."""
    given = records["weight"].fillna(1.0).to_numpy() if "weight" in records else np.ones(len(records))
    if (given == 1).all():
        return None
    weights = np.ones(shape)
    weights[place] = given
    return weights


def _subset(grid: Grid, condition: str, items: NDArray[np.bool_], facts: pd.DataFrame) -> Grid:
    """The grid of some items. If all of them are in one cluster, the clusters are those of the metric's other facet.

    The statements about one topic, for example, are a sample of groups only.
    """
    clusters, population = np.unique(grid.clusters[items], return_inverse=True)[1], grid.population
    facet = facet_of(condition)
    others = [name for name in grid.metric.facets if facet is not None and name != facet[0]]
    if others and len(clusters) and clusters.max() == 0:
        population = others[0]
        clusters = np.unique(facts[population].cat.codes.to_numpy()[items], return_inverse=True)[1]
    return replace(
        grid,
        condition=condition,
        values=grid.values[:, items],
        classes=grid.classes[:, items],
        statuses=grid.statuses[:, items],
        clusters=clusters,
        population=population,
        draws=None if grid.draws is None else grid.draws[:, items],
        weights=None if grid.weights is None else grid.weights[:, items],
        items=None if grid.items is None else grid.items[items],
    )
