"""A study's statistics: metrics of each policy, paired differences, and the spread over training seeds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trustdag.artifacts import atomic_file
from trustdag.stats import unanimous
from trustdag.stats.design import Policy, StudyDesign
from trustdag.stats.estimators import Sample
from trustdag.stats.records import ALL, Grid, facet_of, grids, metrics_of, read_vertical
from trustdag.stats.resampling import Estimate, estimate, holm, swap_test
from trustdag.stats.seeds import over_seeds
from trustdag.stats.settings import StatisticsSettings

Row = dict[str, Any]

GROUP = ["model", "preferences", "recipe"]
IDENTITY = [*GROUP, "seed", "policy"]
METRIC = ["vertical", "metric", "condition", "headline", "direction"]
INTERVAL = ["low", "high", "standard_error"]
TEST = ["p", "p_holm", "verdict"]
COUNTS = ["n", "parsed", "unparsed", "refused", "failed"]
PAIRS = ["reference", "reference_policy", *METRIC, "n_pairs", "lost", "value", "reference_value"]
COLUMNS = {
    "metrics": [*IDENTITY, *METRIC, *COUNTS, "value", *INTERVAL, "chance", "detectable"],
    "differences": [*IDENTITY, *PAIRS, "difference", *INTERVAL, "detectable", *TEST],
    "seeds": [*GROUP, "reference", *METRIC, "seeds", "value", *INTERVAL, "detectable", "seed_deviation", *TEST],
}


@dataclass(frozen=True)
class Tables:
    """The three tables; `docs/statistics.md` describes the columns."""

    metrics: pd.DataFrame
    differences: pd.DataFrame
    seeds: pd.DataFrame


def compute(design: StudyDesign, records_root: Path, settings: StatisticsSettings) -> Tables:
    """All statistics of a study from its records. Raises UserError for records that are missing or malformed."""
    metrics: list[Row] = []
    differences: list[Row] = []
    seeds: list[Row] = []
    for vertical in design.verticals:
        records = read_vertical(design, records_root, vertical)
        for grid in grids(records, metrics_of(vertical), design.policies):
            analysis = Analysis(design, vertical, grid, settings)
            metrics += analysis.metrics()
            differences += analysis.differences()
            seeds += analysis.seeds()
    return Tables(
        _frame(metrics, "metrics"),
        _corrected(_frame(differences, "differences"), [*IDENTITY, "reference"], "difference", settings),
        _corrected(_frame(seeds, "seeds"), [*GROUP, "reference"], "value", settings),
    )


def write(tables: Tables, out: Path) -> None:
    """Writes the tables as CSV files into `out`."""
    for name in COLUMNS:
        with atomic_file(out / f"{name}.csv") as partial:
            getattr(tables, name).to_csv(partial, index=False, float_format="%.6g")


def read(folder: Path) -> Tables:
    """The tables that `write` wrote. Seeds are whole numbers or missing; texts that are missing are empty."""
    frames = {name: pd.read_csv(folder / f"{name}.csv", dtype={"seed": "Int64"}) for name in COLUMNS}
    texts = ["preferences", "direction", "condition", "verdict", "reference"]
    for frame in frames.values():
        for column in frame.columns.intersection(texts):
            frame[column] = frame[column].fillna("").astype(str)
    return Tables(**frames)


@dataclass(frozen=True)
class Analysis:
    """The statistics of one metric under one condition."""

    design: StudyDesign
    vertical: str
    grid: Grid
    settings: StatisticsSettings
    estimates: dict[tuple[str, bytes], Estimate] = field(default_factory=dict)
    """What has been estimated, by policy and items: where all is parsed, pairs and seeds ask for the same again."""

    def metrics(self) -> list[Row]:
        """A row for each policy: counts, value, interval and the difference that so many items can show."""
        rows = []
        for policy in self.design.policies:
            items = self.grid.parsed(policy.id)
            found = self._estimate(policy, items)
            low, high = self._interval(found, policy, items)
            rows.append(
                _identity(policy) | self._metric() | self.grid.counts(policy.id)
                | {"value": found.value, "low": low, "high": high, "standard_error": found.standard_error}
                | {"chance": self.grid.metric.chance, "detectable": self._detectable(found.standard_error * np.sqrt(2))}
            )  # fmt: skip
        return rows

    def differences(self) -> list[Row]:
        """A row for each policy and reference, over the items that are parsed for both."""
        rows = []
        for policy in self.design.policies:
            for name, reference in self.design.references(policy).items():
                rows.append(_identity(policy) | {"reference": name, "reference_policy": reference.id} | self._metric()
                            | self._difference(policy, reference))  # fmt: skip
        return rows

    def seeds(self) -> list[Row]:
        """A row for each recipe over its training seeds: the mean value, and the mean differences."""
        rows = []
        for group in self.design.seed_groups():
            facts = {"model": group[0].model, "preferences": group[0].preferences, "recipe": group[0].recipe}
            per_seed = {"": [self._estimate(policy, self.grid.parsed(policy.id)) for policy in group]}
            for name in self.design.references(group[0]):
                per_seed[name] = [self._paired(policy, self.design.references(policy)[name])[2] for policy in group]
            for reference, estimates in per_seed.items():
                spread = over_seeds(estimates, self.settings.level)
                # A mean value, unlike a mean difference, is not to be tested against 0.
                tested = {} if reference else {"p": np.nan}
                detectable = {"detectable": self._detectable(spread["standard_error"])}
                rows.append(facts | {"reference": reference} | self._metric() | spread | tested | detectable)
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
        }

    def _estimate(self, policy: Policy, items: Any) -> Estimate:
        key = (policy.id, items.tobytes())
        if key not in self.estimates:
            sample = self.grid.sample(policy.id, items)
            settings = self.settings
            self.estimates[key] = estimate(self.grid.metric.statistic, sample, settings.resamples, settings.seed)
        return self.estimates[key]

    def _interval(self, found: Estimate, policy: Policy, items: Any) -> tuple[float, float]:
        sample = self.grid.sample(policy.id, items)
        exact = unanimous.interval(self.grid.metric.statistic, sample, self.settings.level)
        return found.interval(self.settings.level) if np.isnan(exact[0]) else exact

    def _paired_interval(self, change: Estimate, ours: Sample, theirs: Sample) -> tuple[float, float]:
        exact = unanimous.difference(self.grid.metric.statistic, ours, theirs, self.settings.level)
        return change.interval(self.settings.level) if np.isnan(exact[0]) else exact

    def _paired(self, policy: Policy, reference: Policy) -> tuple[Estimate, Estimate, Estimate]:
        """Both arms and their difference, over the items that both parsed."""
        pairs = self.grid.parsed(policy.id) & self.grid.parsed(reference.id)
        ours, theirs = self._estimate(policy, pairs), self._estimate(reference, pairs)
        return ours, theirs, ours.minus(theirs)

    def _difference(self, policy: Policy, reference: Policy) -> Row:
        mine, other = self.grid.parsed(policy.id), self.grid.parsed(reference.id)
        pairs = mine & other
        ours, theirs, change = self._paired(policy, reference)
        arms = self.grid.sample(policy.id, pairs), self.grid.sample(reference.id, pairs)
        low, high = self._paired_interval(change, *arms)
        p = np.nan
        if np.isfinite(change.value):
            p = swap_test(self.grid.metric.statistic, *arms, self.settings.resamples, self.settings.seed)
        return {
            "n_pairs": int(pairs.sum()),
            "lost": int((self._asked(policy) | self._asked(reference)).sum() - pairs.sum()),
            "value": ours.value,
            "reference_value": theirs.value,
            "difference": change.value,
            "low": low,
            "high": high,
            "standard_error": change.standard_error,
            "p": p,
            "detectable": self._detectable(change.standard_error),
        }

    def _asked(self, policy: Policy) -> Any:
        return self.grid.statuses[self.grid.policies[policy.id]] >= 0

    def _detectable(self, error: float) -> float:
        """The smallest true difference that a two-sided test finds with the stated power; NaN where no spread is seen.

        (z of the level + z of the power) times the standard error: Cohen 1988, section 2.
        """
        from scipy.special import ndtri

        quantiles = ndtri((1 + self.settings.level) / 2) + ndtri(self.settings.power)
        return float(quantiles * error) if error > 0 else float("nan")


def _identity(policy: Policy) -> Row:
    return {name: getattr(policy, name) for name in (*GROUP, "seed")} | {"policy": policy.id}


def _frame(rows: list[Row], name: str) -> pd.DataFrame:
    frame = pd.DataFrame(rows).reindex(columns=COLUMNS[name])
    return frame.astype({"seed": "Int64"}) if "seed" in frame else frame


def _corrected(frame: pd.DataFrame, family: list[str], change: str, settings: StatisticsSettings) -> pd.DataFrame:
    """Fills p_holm and the verdict in a word.

    Of one policy and reference, the headline metrics are a family, and the values of one facet of one metric another.
    """
    together = [_family(*row) for row in frame[["headline", "vertical", "metric", "condition"]].itertuples(index=False)]
    frame = frame.assign(family=together)
    for _, rows in frame[frame["family"] != ""].groupby([*family, "family"], dropna=False):
        frame.loc[rows.index, "p_holm"] = holm(rows["p"].tolist())
    decisive = frame["p_holm"].where(frame["family"] != "", frame["p"])
    frame["verdict"] = [verdict(value, p, settings.level) for value, p in zip(frame[change], decisive, strict=True)]
    return frame.drop(columns="family")


def _family(headline: bool, vertical: str, metric: str, condition: str) -> str:
    """What a row's p-value is corrected together with; empty for one that stands by itself."""
    facet = facet_of(condition)
    if facet is not None:
        return f"{vertical} {metric} {facet[0]}"
    return "headline" if headline else ""


def verdict(difference: float, p: float, level: float) -> str:
    """`rose` or `fell` where the test finds a change, `no change found` where it does not, empty without a test."""
    if np.isnan(difference) or np.isnan(p):
        return ""
    if p >= 1 - level:
        return "no change found"
    return "rose" if difference > 0 else "fell"
