"""One table of all changes: of each recipe, from base and from SFT, over its training seeds."""

import pandas as pd

from trustdag.stats.tables import Tables

CHANCE = "_chance"
"""Suffix of a metric NAME_chance: the score of guessing in the metric NAME, on the same items."""
GROUP = ["model", "preferences", "recipe", "reference", "vertical", "metric", "condition"]
METRIC = ["headline", "direction", "seeds"]
CLUSTERS = ["population", "clusters", "few_clusters", "labels"]
INTERVAL = ["low", "high", *CLUSTERS, "detectable"]
CHANGE_COLUMNS = [
    *GROUP,
    *METRIC,
    "n_pairs",
    "lost",
    "own_value",
    "reference_value",
    "change",
    *INTERVAL,
    "p",
    "p_holm",
    "family",
    "verdict",
    "judgement",
]
LEVEL_COLUMNS = [*GROUP[:3], *GROUP[4:], *METRIC, "chance", "value", *INTERVAL, "understood"]


def changes(tables: Tables) -> pd.DataFrame:
    """Every paired change, one row for each recipe and reference; over the training seeds if there are several."""
    single = tables.differences.rename(columns={"value": "own_value", "difference": "change"}).assign(seeds=1)
    several = tables.seeds[tables.seeds["reference"] != ""].rename(columns={"value": "change"})
    groups = single.groupby(GROUP, dropna=False, as_index=False)
    pairs = groups[["n_pairs", "lost"]].sum().merge(groups[["own_value", "reference_value"]].mean(), on=GROUP)
    return _prefer(single, several.merge(pairs, on=GROUP), GROUP)[CHANGE_COLUMNS]


def levels(tables: Tables) -> pd.DataFrame:
    """Every metric's value, one row for each recipe; the mean over the training seeds if there are several."""
    keys = [*GROUP[:3], *GROUP[4:]]
    metrics = tables.metrics.assign(seeds=1, chance=_chance(tables.metrics))
    chance = metrics.drop_duplicates(["vertical", "metric", "condition"])[["vertical", "metric", "condition", "chance"]]
    several = (
        tables.seeds[tables.seeds["reference"] == ""].merge(chance, how="left").merge(_understood(metrics), how="left")
    )
    return _prefer(metrics, several, keys)[LEVEL_COLUMNS]


def _understood(metrics: pd.DataFrame) -> pd.DataFrame:
    """For each recipe: `understood` of the seed with the lowest understanding."""
    keys = ["model", "preferences", "recipe", "vertical", "metric", "condition"]
    return metrics.groupby(keys, dropna=False, as_index=False)[["understood"]].min()


def _chance(metrics: pd.DataFrame) -> pd.Series:
    """The chance level from the metric's definition, or else from the metric NAME_chance."""
    keys = ["vertical", "metric", "condition", "policy"]
    siblings = metrics[metrics["metric"].str.endswith(CHANCE)]
    measured = siblings.assign(metric=siblings["metric"].str.removesuffix(CHANCE)).set_index(keys)["value"]
    own = measured.reindex(pd.MultiIndex.from_frame(metrics[keys])).to_numpy()
    return metrics["chance"].where(metrics["chance"].notna(), pd.Series(own, index=metrics.index))


def _prefer(single: pd.DataFrame, several: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The single rows in order, with each group of training seeds replaced by its row of `several`."""
    first = single.drop_duplicates(keys)
    replaced = first[keys].merge(several, on=keys, how="inner")
    kept = first.merge(replaced[keys], on=keys, how="left", indicator=True)["_merge"].to_numpy() == "left_only"
    whole = pd.concat([first[kept], replaced], ignore_index=True)
    order = first[keys].reset_index(drop=True).assign(order=range(len(first)))
    return whole.merge(order, on=keys).sort_values("order", kind="stable").drop(columns="order").reset_index(drop=True)


def arms(levels: pd.DataFrame) -> list[tuple[str, str]]:
    """Each model with each of its preference sets (empty without training), in the study's order."""
    sets_of: dict[str, list[str]] = {}
    for model, preferences in zip(levels["model"], levels["preferences"], strict=True):
        sets = sets_of.setdefault(model, [])
        if preferences and preferences not in sets:
            sets.append(preferences)
    return [(model, name) for model, names in sets_of.items() for name in names or [""]]


def of_arm(frame: pd.DataFrame, arm: tuple[str, str]) -> pd.DataFrame:
    """The rows of a model and a preference set, including its base model and existing checkpoints."""
    model, preferences = arm
    return frame[(frame["model"] == model) & frame["preferences"].isin(["", preferences])]


def arm_name(arm: tuple[str, str], among: list[tuple[str, str]]) -> str:
    """The name of an arm if there are several: its model, and its preference set if those differ."""
    if len(among) == 1:
        return ""
    return arm[0] if len({preferences for _, preferences in among}) == 1 else f"{arm[0]}, {arm[1] or 'as given'}"
