"""The attributed quantity: a vertical's metric as a weighted sum of log-probabilities of replies or of options.

A metric M of sampled replies has the gradient E[sum over items of w(item) x grad log pi(replies to the item)]. Here w
is the influence of the item's value on M, which `stats/estimators.py` computes for every statistic. So neither a
vertical nor a plug-in needs code for it. The influence includes a baseline: an item whose value is the mean has weight
0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from trustdag.errors import UserError
from trustdag.stats.estimators import COEFFICIENTS, Array, Sample, paired_parts, parts
from trustdag.verticals.base import Metric

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["replies", "options"]
Score = Callable[[pd.DataFrame], pd.DataFrame]
"""From replies to records: a vertical's `score` with its items and settings."""
LIKELIEST, UNLIKELY = 0.0, -60.0
"""Log-probability of the options that are not chosen, when one option is made certain."""


@dataclass(frozen=True)
class Query:
    """One vertical's metric, and the texts whose log-probabilities change it."""

    vertical: str
    metric: str
    kind: Kind
    value: float
    """The value of the metric; for options the mean log-odds."""
    standard_error: float
    """Over clusters of items."""
    texts: pd.DataFrame
    """Columns `item`, `kind`, `sample`, `reply`, `ended`, `weight` and `group`: one row for each text that counts."""


@dataclass(frozen=True)
class VerticalReplies:
    """Items, replies and records of one policy and vertical."""

    vertical: str
    metric: Metric
    items: pd.DataFrame
    replies: pd.DataFrame
    records: pd.DataFrame
    """All metrics' records of these replies."""
    score: Score
    reference: pd.DataFrame | None = None
    """Records of the reference policy of a difference; None if the value itself is attributed."""

    def of_metric(self, records: pd.DataFrame) -> pd.DataFrame:
        """The metric's records, by item."""
        chosen = records[records["metric"] == self.metric.name].set_index("item")
        if chosen.empty:
            raise UserError(
                f"attribution: {self.vertical}: no record of the metric `{self.metric.name}`; there are "
                f"{', '.join(sorted(set(records['metric']))) or 'no records'}"
            )
        return chosen


def build(source: VerticalReplies, wanted: Literal["auto", "replies", "options"], groups: int, seed: int) -> Query:
    """The query of one vertical.

    Args:
        source: Items, replies and records.
        wanted: Whether to differentiate sampled replies or the log-odds of options. `auto` takes options if the
            records depend on likelihoods alone, or if all replies have the same value.
        groups: Groups of clusters, for standard errors.
        seed: Seed of the groups.

    Raises:
        UserError: The metric has no gradient, or its items have no options.
    """
    if wanted == "options" or (wanted == "auto" and follows_from_options(source)):
        return of_options(source, groups, seed)
    query = of_replies(source, groups, seed)
    if query.texts.empty and wanted == "auto" and has_options(source):
        query = of_options(source, groups, seed)
    if query.texts.empty:
        seen = (
            f"every reply has the same {source.metric.name} ({query.value:.3g})"
            if np.isfinite(query.value)
            else f"no reply could be read for {source.metric.name}"
        )
        raise UserError(
            f"attribution: {source.vertical}: {seen}, so it has no gradient; attribute another `metric`, or set"
            " `query: options`"
        )
    return query


def of_replies(source: VerticalReplies, groups: int, seed: int) -> Query:
    """The score-function gradient of a metric of sampled replies.

    Args:
        source: The replies, their records, and the metric.
        groups: Groups of clusters, for the jackknife.
        seed: Of the draw of the groups.
    """
    records = source.of_metric(source.records)
    weights, clusters, value = item_weights(source, records)
    sampled = source.replies[(source.replies["kind"] == "generate") & (source.replies["status"] == "ok")]
    texts = sampled.assign(weight=sampled["item"].map(weights))
    return _query(source, "replies", value, texts, clusters, weights, groups, seed)


def item_weights(source: VerticalReplies, records: pd.DataFrame) -> tuple[pd.Series, pd.Series, float]:
    """How much each item's value changes the metric, to first order.

    Args:
        source: Gives the statistic and the reference policy of a difference.
        records: The metric's records, by item.

    Returns:
        By item that counts: its weight (the weights sum to 0) and its cluster; and the value of the metric.
    """
    parsed = records[records["status"] == "parsed"]
    clusters = parsed["cluster"]
    if source.reference is None:
        members = parts(source.metric.statistic, _sample(parsed))
    else:
        theirs = source.of_metric(source.reference)
        theirs = theirs[theirs["status"] == "parsed"]
        both = parsed.index.intersection(theirs.index, sort=False)
        clusters = clusters[both]
        members = paired_parts(source.metric.statistic, _sample(parsed.loc[both]), _sample(theirs.loc[both]))
    value = sum(part.coefficient * part.value for part in members)
    influences = np.sum([part.coefficient * part.influences for part in members], axis=0)
    return pd.Series(influences, index=clusters.index), clusters, float(value)


def _sample(records: pd.DataFrame) -> Sample:
    """Records as a sample in which each item is a cluster of its own."""
    numbers = np.arange(len(records))
    return Sample(records["value"].to_numpy(float), records["label"].to_numpy(float), numbers, len(numbers))


# --- Options ---


def of_options(source: VerticalReplies, groups: int, seed: int) -> Query:
    """The log-odds of the options with a high metric value against those with a low one.

    The value of an option comes from scoring replies in which it is the likeliest option and the text of every reply.
    An item counts if its value differs between options. The query's value is the statistic of the items' log-odds.

    Args:
        source: The replies, their records, and the metric.
        groups: Groups of clusters, for the jackknife.
        seed: Of the draw of the groups.
    """
    if source.metric.statistic not in COEFFICIENTS:
        raise UserError(
            f"attribution: {source.vertical}: {source.metric.name} is a `{source.metric.statistic}`, which has no"
            " log-odds; set `query: replies`, or another metric"
        )
    values = values_by_option(source)
    logprobs = source.replies[source.replies["kind"] == "likelihood"].pivot(
        index="item", columns="sample", values="logprob"
    )
    contrasts = {item: contrast(logprobs.loc[item].to_numpy(float), row) for item, row in values.items()}
    odds = {item: log_odds for item, log_odds in contrasts.items() if log_odds is not None}
    if not odds:
        raise UserError(
            f"attribution: {source.vertical}: no item has options between which {source.metric.name} differs; "
            "set `query: replies`, or another metric"
        )
    records = source.of_metric(source.records).loc[list(odds)]
    smooth = replace_values(records, [odds[item][0] for item in records.index])
    whole = VerticalReplies(source.vertical, source.metric, source.items, source.replies, source.records, source.score)
    influences, clusters, value = item_weights(whole, smooth)
    slopes = value_slopes(source.metric.statistic, smooth)
    texts = source.replies[(source.replies["kind"] == "likelihood") & source.replies["item"].isin(odds)]
    factors = [odds[item][1][int(sample)] for item, sample in zip(texts["item"], texts["sample"], strict=True)]
    texts = texts.assign(weight=texts["item"].map(slopes) * np.array(factors))
    return _query(source, "options", value, texts, clusters, influences, groups, seed)


def values_by_option(source: VerticalReplies) -> dict[str, Array]:
    """By item with options: the metric's value for the choice of each option."""
    counts = source.items.set_index("item")["options"].map(len)
    counts = counts[counts > 0]
    columns: dict[str, list[float]] = {item: [] for item in counts.index}
    for option in range(int(counts.max()) if len(counts) else 0):
        records = source.of_metric(source.score(with_option(source.replies, source.items, option)))
        values = records["value"].where(records["status"] == "parsed")
        for item, count in counts.items():
            if option < count:
                columns[str(item)].append(float(values.get(item, float("nan"))))
    return {item: np.array(column) for item, column in columns.items()}


def with_option(replies: pd.DataFrame, items: pd.DataFrame, option: int) -> pd.DataFrame:
    """The replies with the option of that number chosen in every item that has it.

    Args:
        replies: The replies of the policy.
        items: The items, with their options.
        option: The option's number.
    """
    having = items[items["options"].map(len) > option]
    texts = dict(zip(having["item"], [options[option] for options in having["options"]], strict=True))
    chosen = replies.copy()
    has = chosen["item"].isin(texts)
    likelihood, sampled = has & (chosen["kind"] == "likelihood"), has & (chosen["kind"] == "generate")
    chosen.loc[likelihood, "logprob"] = np.where(chosen.loc[likelihood, "sample"] == option, LIKELIEST, UNLIKELY)
    chosen.loc[sampled, "reply"] = chosen.loc[sampled, "item"].map(texts)
    return chosen


def contrast(logprobs: Array, values: Array) -> tuple[float, Array] | None:
    """The log-odds of options with a high value against those with a low one, and their slopes.

    Args:
        logprobs: (options and padding,) the options' log-probabilities.
        values: (options,) the metric's value with each of them; NaN where it has none.

    Returns:
        The log-odds, and (options,) their derivative by each log-probability; None if no two values differ or an option
        has no log-probability.
    """
    logprobs = logprobs[: len(values)]
    known = np.isfinite(values)
    if not known.any() or not np.isfinite(logprobs).all() or np.ptp(values[known]) == 0:
        return None
    middle = (values[known].max() + values[known].min()) / 2
    slopes, odds = np.zeros(len(values)), 0.0
    for sign, chosen in ((1.0, known & (values > middle)), (-1.0, known & (values <= middle))):
        highest = logprobs[chosen].max()
        masses = np.exp(logprobs[chosen] - highest)
        odds += sign * (highest + float(np.log(masses.sum())))
        slopes[chosen] = sign * masses / masses.sum()
    return odds, slopes


def value_slopes(statistic: str, records: pd.DataFrame) -> pd.Series:
    """By item: the derivative of the statistic by the item's value. The statistic is a sum of means of classes."""
    slopes = np.zeros(len(records))
    for label, coefficient in COEFFICIENTS[statistic]:
        members = np.ones(len(records), bool) if label is None else records["label"].to_numpy() == label
        slopes[members] += coefficient / max(1, int(members.sum()))
    return pd.Series(slopes, index=records.index)


def replace_values(records: pd.DataFrame, values: "Sequence[float]") -> pd.DataFrame:
    """Records of the same items with other values, all of them parsed."""
    return records.assign(value=list(values), status="parsed")


def has_options(source: VerticalReplies) -> bool:
    """Whether an item has options."""
    return bool((source.items["options"].map(len) > 0).any())


def follows_from_options(source: VerticalReplies) -> bool:
    """Whether the metric's records stay the same with empty sampled replies."""
    if not (source.replies["kind"] == "likelihood").any():
        return False
    emptied = source.replies.copy()
    emptied.loc[emptied["kind"] == "generate", "reply"] = ""
    after = source.of_metric(source.score(emptied))["value"]
    before = source.of_metric(source.records)["value"]
    return bool(after.reindex(before.index).equals(before))


# --- Groups ---


def _query(
    source: VerticalReplies, kind: Kind, value: float, texts: pd.DataFrame, clusters: pd.Series, influences: pd.Series,
    groups: int, seed: int,
) -> Query:  # fmt: skip
    of_cluster = influences.groupby(clusters).sum()
    count = len(of_cluster)
    error = float(np.sqrt(count / (count - 1) * (of_cluster**2).sum())) if count > 1 else float("nan")
    group = clusters.map(group_of_clusters(list(of_cluster.index), groups, seed))
    texts = texts.assign(group=texts["item"].map(group))
    texts = texts[texts["weight"].notna() & (texts["weight"].abs() > 1e-12)]
    columns = ["item", "kind", "sample", "reply", "ended", "weight", "group"]
    texts = texts[columns].astype({"group": int}).reset_index(drop=True)
    return Query(source.vertical, source.metric.name, kind, value, error, texts)


def group_of_clusters(clusters: list[Any], groups: int, seed: int) -> dict[Any, int]:
    """A random group for each cluster. The groups have equal sizes, up to one cluster.

    Args:
        clusters: Names of the clusters, each once.
        groups: Number of groups.
        seed: Of the draw.
    """
    order = np.random.default_rng(seed).permutation(len(clusters))
    return {clusters[place]: number % groups for number, place in enumerate(order)}


def jackknife(pieces: Array) -> Array:
    """The standard error of sums over groups of clusters: (..., groups) to (...).

    The variance of the sum of independent pieces is groups / (groups - 1) times their squared deviations from the mean.
    """
    groups = pieces.shape[-1]
    deviations = pieces - pieces.mean(-1, keepdims=True)
    return np.sqrt(groups / (groups - 1) * (deviations**2).sum(-1))
