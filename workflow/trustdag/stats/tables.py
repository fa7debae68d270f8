"""A study's statistics: metrics of each policy, paired differences, and the spread over training seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trustdag.artifacts import atomic_file
from trustdag.stats import prediction_powered
from trustdag.stats.companions import judged, with_understood
from trustdag.stats.comparison import Comparison, compare, counted_by_both
from trustdag.stats.comparison import corrected as with_labels
from trustdag.stats.design import Policy, StudyDesign
from trustdag.stats.estimators import Sample
from trustdag.stats.families import corrected
from trustdag.stats.intervals import Estimate, estimate
from trustdag.stats.labels import read_labels
from trustdag.stats.power import NO_POWER, power_of
from trustdag.stats.records import ALL, Grid, grids, read_vertical
from trustdag.stats.seeds import LEAST_SEEDS, over_seeds, seed_deviation
from trustdag.stats.settings import StatisticsSettings

Row = dict[str, Any]

GROUP = ["model", "preferences", "recipe"]
IDENTITY = [*GROUP, "seed", "policy"]
METRIC = ["vertical", "metric", "condition", "headline", "direction"]
INTERVAL = ["low", "high", "standard_error"]
CLUSTERS = ["population", "clusters", "few_clusters", "labels"]
TEST = ["p", "p_holm", "family", "verdict", "judgement"]
COUNTS = ["n", "parsed", "unparsed", "conflicting", "refused", "failed"]
PAIRS = ["reference", "reference_policy", *METRIC, "n_pairs", "lost", "value", "reference_value"]
COLUMNS = {
    "metrics": [*IDENTITY, *METRIC, *COUNTS, "value", *INTERVAL, *CLUSTERS, "chance", "detectable", "understood"],
    "differences": [*IDENTITY, *PAIRS, "difference", *INTERVAL, *CLUSTERS, "detectable", *TEST],
    "seeds": [
        *GROUP, "reference", *METRIC, "seeds", "value", *INTERVAL, *CLUSTERS, "detectable", "seed_deviation", *TEST,
    ],
}  # fmt: skip
TEXTS = (*GROUP, "policy", "vertical", "metric", "condition", "direction", "reference", "reference_policy", "verdict",
         "judgement", "understood", "population")  # fmt: skip
"""Columns with texts."""
NOTHING: Row = {"p": np.nan, "power": NO_POWER}
"""Values of a row with too few items for a number."""
FEW_CLUSTERS = 20
"""With fewer clusters an interval depends on an assumption: that the values are similar in all clusters."""


@dataclass(frozen=True)
class Tables:
    """The three tables; `docs/statistics.md` describes the columns."""

    metrics: pd.DataFrame
    differences: pd.DataFrame
    seeds: pd.DataFrame


def compute(
    design: StudyDesign,
    records_root: Path,
    settings: StatisticsSettings,
    tell: Callable[[str], None] = lambda _: None,
    labels: Path | None = None,
) -> Tables:
    """All statistics of a study from its records.

    Args:
        design: The study.
        records_root: Folder with POLICY/VERTICAL.parquet.
        settings: Level, power, resamples and seed.
        tell: Called with a line of text after each vertical.
        labels: Human labels of replies: a sheet, or a folder of sheets.

    Returns:
        The three tables.

    Raises:
        UserError: Records or labels are missing or malformed.
    """
    sheets = {} if labels is None else read_labels(labels, records_root)
    rows: dict[str, list[Row]] = {name: [] for name in COLUMNS}
    for vertical in design.verticals:
        records = read_vertical(design, records_root, vertical)
        for grid in grids(records, vertical, design.policies, sheets.get(vertical)):
            analysis = Analysis(design, vertical, grid, settings)
            rows["metrics"] += analysis.metrics()
            rows["differences"] += analysis.differences()
            rows["seeds"] += analysis.seeds()
        tell(f"statistics: {vertical}: {len(records):,} records of {len(design.policies)} policies")
    differences, seeds = corrected(_frame(rows, "differences"), _frame(rows, "seeds"), settings)
    metrics = _with_detectable(_frame(rows, "metrics"), differences, seeds, settings)
    differences, seeds = judged(differences, seeds, metrics, settings.level)
    metrics = with_understood(metrics)
    whole = {"metrics": metrics, "differences": differences, "seeds": seeds}
    return Tables(**{name: table[COLUMNS[name]] for name, table in whole.items()})


def too_few_resamples(tables: Tables, settings: StatisticsSettings) -> str:
    """A warning if the random swaps are too few for a corrected p-value below 1 - level; empty otherwise."""
    family = int(tables.differences["family"].max()) if len(tables.differences) else 1
    needed = int(np.floor(family / (1 - settings.level) + 1e-9))
    if settings.resamples >= needed:
        return ""
    return (
        f"statistics.resamples: {settings.resamples} random swaps give no p-value below "
        f"{1 / (settings.resamples + 1):.2g}, so that of {family} changes corrected together none can be found; "
        f"set it to at least {needed}"
    )


def write(tables: Tables, out: Path) -> None:
    """Writes the tables as CSV files into `out`."""
    for name in COLUMNS:
        with atomic_file(out / f"{name}.csv") as partial:
            getattr(tables, name).to_csv(partial, index=False, float_format="%.6g")


def read(folder: Path) -> Tables:
    """Reads the tables of `write`. Seeds are integers or missing; missing texts are empty.

    A text is never read as another value: a preference set may be called `null`, and a model `07`.
    """
    return Tables(**{name: _read(folder / f"{name}.csv", columns) for name, columns in COLUMNS.items()})


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    texts = [name for name in columns if name in TEXTS]
    numbers = [name for name in columns if name not in TEXTS]
    types = dict.fromkeys(texts, "str") | ({"seed": "Int64"} if "seed" in numbers else {})
    return pd.read_csv(path, dtype=types, keep_default_na=False, na_values=dict.fromkeys(numbers, ""))


@dataclass(frozen=True)
class Analysis:
    """The statistics of one metric under one condition."""

    design: StudyDesign
    vertical: str
    grid: Grid
    settings: StatisticsSettings
    estimates: dict[str, tuple[Estimate, Estimate | None]] = field(default_factory=dict)
    """Cache of estimates by policy, uncorrected and corrected with labels, which metrics and seeds share."""
    comparisons: dict[tuple[str, str], tuple[Comparison | None, Comparison | None]] = field(default_factory=dict)
    """Cache of comparisons by policy and reference, uncorrected and corrected with labels."""

    def metrics(self) -> list[Row]:
        """A row for each policy: counts, value, interval and detectable difference."""
        rows = []
        for policy in self.design.policies:
            level = self._levels((policy,))[0]
            rows.append(
                _identity(policy) | self._metric() | self.grid.counts(policy.id) | self._numbers(level)
                | {"chance": self.grid.metric.chance, "power": power_of(level, self.settings, arms=2)}
            )  # fmt: skip
        return rows

    def differences(self) -> list[Row]:
        """A row for each policy and reference, over the items that count for both."""
        several = {policy.id for group in self.design.seed_groups() for policy in group}
        rows = []
        for policy in self.design.policies:
            for name, reference in self.design.references(policy).items():
                facts = {
                    "reference": name,
                    "reference_policy": reference.id,
                    "many_seeds": policy.id in several,
                }
                rows.append(_identity(policy) | facts | self._metric() | self._difference(policy, reference))
        return rows

    def seeds(self) -> list[Row]:
        """A row for each recipe over its training seeds: the mean value, and the mean differences."""
        rows = []
        for group in self.design.seed_groups():
            facts: Row = {"model": group[0].model, "preferences": group[0].preferences, "recipe": group[0].recipe}
            rows.append(facts | {"reference": ""} | self._metric() | self._over_seeds(self._levels(group)))
            for name in self.design.references(group[0]):
                compared = self._comparisons([(policy, self.design.references(policy)[name]) for policy in group])
                changes = [comparison.change for comparison in compared if comparison is not None]
                if len(changes) == len(group):
                    spread = self._over_seeds(changes)
                    # A mean value, unlike a mean difference, is not tested against 0.
                    spread["p"] = over_seeds(changes).p_value() if len(changes) >= LEAST_SEEDS else np.nan
                    rows.append(facts | {"reference": name} | self._metric() | spread)
                else:
                    rows.append(facts | {"reference": name} | self._metric() | {"seeds": len(group)} | NOTHING)
        return rows

    def _metric(self) -> Row:
        metric = self.grid.metric
        headline = metric.headline and self.grid.condition == ALL
        return {
            "vertical": self.vertical,
            "metric": metric.name,
            "condition": self.grid.condition,
            "headline": headline,
            "direction": metric.direction,
            "population": self.grid.population,
        }

    def _levels(self, policies: Sequence[Policy]) -> list[Estimate]:
        """The policies' levels. They are corrected with labels only if all can be, to average values of one kind."""
        for policy in policies:
            if policy.id not in self.estimates:
                self.estimates[policy.id] = self._estimated(policy)
        read, corrected = zip(*(self.estimates[policy.id] for policy in policies), strict=True)
        return list(read if None in corrected else corrected)

    def _estimated(self, policy: Policy) -> tuple[Estimate, Estimate | None]:
        statistic, labelled = self.grid.metric.statistic, self.grid.labelled(policy.id)
        read = estimate(statistic, self.grid.sample(policy.id, self.grid.parsed(policy.id)))
        return read, None if labelled is None else prediction_powered.estimate(statistic, labelled)

    def _numbers(self, estimated: Estimate) -> Row:
        low, high = estimated.interval(self.settings.level)
        return {"value": estimated.value, "low": low, "high": high} | _spread(estimated)

    def _over_seeds(self, estimates: list[Estimate]) -> Row:
        mean = over_seeds(estimates)
        power = power_of(mean, self.settings, seeds=len(estimates))
        facts = {"seeds": len(estimates), "seed_deviation": seed_deviation(estimates), "power": power, "p": np.nan}
        return facts | self._numbers(mean)

    def _comparisons(self, pairs: Sequence[tuple[Policy, Policy]]) -> list[Comparison | None]:
        """The comparisons of policies with references. They are corrected with labels only if all can be."""
        for policy, reference in pairs:
            if (policy.id, reference.id) not in self.comparisons:
                self.comparisons[policy.id, reference.id] = self._compared(policy, reference)
        pairs_of_comparisons = [self.comparisons[policy.id, reference.id] for policy, reference in pairs]
        read, corrected = zip(*pairs_of_comparisons, strict=True)
        return list(read if None in corrected else corrected)

    def _compared(self, policy: Policy, reference: Policy) -> tuple[Comparison | None, Comparison | None]:
        statistic = self.grid.metric.statistic
        read = compare(statistic, *self._arms(policy, reference), self.settings)
        labelled = self.grid.labelled_change(policy.id, reference.id)
        if labelled is None or (read is None and statistic == "ratio"):
            return read, None
        return read, with_labels(statistic, *labelled, self.settings)

    def _arms(self, policy: Policy, reference: Policy) -> tuple[Sample, Sample]:
        """Both policies' records of the items that were parsed for both."""
        pairs = self.grid.parsed(policy.id) & self.grid.parsed(reference.id)
        return self.grid.sample(policy.id, pairs), self.grid.sample(reference.id, pairs)

    def _difference(self, policy: Policy, reference: Policy) -> Row:
        asked = int((self._asked(policy) | self._asked(reference)).sum())
        (compared,) = self._comparisons([(policy, reference)])
        if compared is None:
            pairs = int(counted_by_both(self.grid.metric.statistic, *self._arms(policy, reference)).sum())
            return {"n_pairs": pairs, "lost": asked - pairs} | NOTHING
        low, high = compared.interval
        return {
            "n_pairs": compared.pairs,
            "lost": asked - compared.pairs,
            "value": compared.value,
            "reference_value": compared.reference_value,
            "difference": compared.change.value,
            "low": low,
            "high": high,
            "p": compared.p,
            "power": power_of(compared.change, self.settings),
        } | _spread(compared.change)

    def _asked(self, policy: Policy) -> Any:
        return self.grid.statuses[self.grid.policies[policy.id]] >= 0


def _identity(policy: Policy) -> Row:
    return {name: getattr(policy, name) for name in (*GROUP, "seed")} | {"policy": policy.id}


def _spread(estimated: Estimate) -> Row:
    return {
        "standard_error": estimated.standard_error,
        "clusters": estimated.clusters,
        "few_clusters": estimated.clusters < FEW_CLUSTERS,
        "labels": estimated.labelled,
    }


def _frame(rows: dict[str, list[Row]], name: str) -> pd.DataFrame:
    columns = [*COLUMNS[name], "power", *(["many_seeds"] if name == "differences" else [])]
    frame = pd.DataFrame(rows[name]).reindex(columns=columns)
    return frame.astype({"seed": "Int64"}) if "seed" in frame else frame


def _with_detectable(
    metrics: pd.DataFrame, differences: pd.DataFrame, seeds: pd.DataFrame, settings: StatisticsSettings
) -> pd.DataFrame:
    """Adds the detectable difference of two such policies, corrected like the study's own comparisons."""
    keys = ["vertical", "metric", "condition"]
    tested = pd.concat([differences, seeds[seeds["reference"] != ""]])
    sizes = tested.groupby(keys)["family"].max()
    families = sizes.reindex(pd.MultiIndex.from_frame(metrics[keys])).fillna(1).astype(int)
    detectable = [power.detectable(size, settings) for power, size in zip(metrics["power"], families, strict=True)]
    return metrics.assign(detectable=detectable)
