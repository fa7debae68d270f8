"""Attribution of a PPO policy to the training pairs of its reward model.

The optimum of a reward r under a KL penalty of weight beta is pi(y|x) ~ reference(y|x) exp(r(x, y) / beta). To first
order around the reference, a change of the reward changes a metric m by Cov(m, r) / beta over the reference's replies
to each item. So a pair's influence on the policy's metric is its influence on this covariance, a function of the reward
model.
For items with options the log-odds of the options replace the sampled replies.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from trustdag.attribution.queries import Query, VerticalReplies, group_of_clusters, item_weights, of_options
from trustdag.errors import UserError
from trustdag.stats.estimators import Array


def covariance_query(source: VerticalReplies, beta: float, groups: int, seed: int) -> Query:
    """The covariance of a vertical's metric with the reward over several replies to each item, divided by beta.

    Args:
        source: The items with several replies of the reference to each, sampled independently.
        beta: Weight of the KL penalty.
        groups: Groups of clusters, for standard errors.
        seed: Seed of the groups.

    Returns:
        A query whose texts are replies and whose weights multiply rewards. It has no text if the replies to each item
        have the same value. Its value is NaN until rewards are known.
    """
    sampled = source.replies[(source.replies["kind"] == "generate") & (source.replies["status"] == "ok")]
    weights = {
        sample: item_weights(source, source.of_metric(source.score(_only(source.replies, sample))))[0]
        for sample in sorted(set(sampled["sample"]))
    }
    table = pd.DataFrame(weights).dropna()
    count = table.shape[1]
    centered = table.sub(table.mean(axis=1), axis=0) / (count - 1) / beta
    clusters = source.items.set_index("item")["cluster"][table.index]
    group = clusters.map(group_of_clusters(sorted(set(clusters)), groups, seed))
    long = centered.rename_axis("item").reset_index().melt("item", var_name="sample", value_name="weight")
    texts = sampled[["item", "kind", "sample", "reply", "ended"]].merge(long, on=["item", "sample"])
    texts = texts[texts["weight"].abs() > 1e-12].assign(group=lambda frame: frame["item"].map(group))
    nan = float("nan")
    return Query(source.vertical, source.metric.name, "replies", nan, nan, texts.reset_index(drop=True))


def options_query(source: VerticalReplies, beta: float, groups: int, seed: int) -> Query:
    """The log-odds of items' options under the reference times exp(reward / beta).

    Their derivative by the reward of an option is the derivative by its log-probability, divided by beta.

    Args:
        source: Items, replies and records of the reference.
        beta: Weight of the KL penalty.
        groups: Groups of clusters, for standard errors.
        seed: Seed of the groups.
    """
    query = of_options(source, groups, seed)
    return replace(query, texts=query.texts.assign(weight=query.texts["weight"] / beta))


def no_covariance(source: VerticalReplies, samples: int) -> UserError:
    """The error for replies that all have the same value within each item."""
    return UserError(
        f"attribution: {source.vertical}: {samples} replies of the reference to each item have the same"
        f" {source.metric.name}, so no reward could move it; raise `samples`, or attribute another `metric`"
    )


def _only(replies: pd.DataFrame, sample: int) -> pd.DataFrame:
    """One sample of each item, with the likelihoods."""
    return replies[(replies["kind"] != "generate") | (replies["sample"] == sample)]


def with_covariance(query: Query, rewards: Array, cluster_of: Callable[[str], str]) -> Query:
    """The query with its value, the predicted change of the number, and its standard error over clusters.

    Args:
        query: From `covariance_query`.
        rewards: (texts,) the reward model's score of each text.
        cluster_of: The cluster of an item.
    """
    products = query.texts["weight"].to_numpy(float) * rewards
    clusters = query.texts["item"].map(cluster_of)
    sums = pd.Series(products).groupby(clusters.to_numpy()).sum().to_numpy(float)
    count = len(sums)
    error = float(np.sqrt(count / (count - 1) * ((sums - sums.mean()) ** 2).sum())) if count > 1 else float("nan")
    return replace(query, value=float(sums.sum()), standard_error=error)
