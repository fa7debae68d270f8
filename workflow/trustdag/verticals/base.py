"""What all verticals share: the description of a metric and the columns of items and records."""

from dataclasses import dataclass
from typing import Literal

ITEM_COLUMNS = ("item", "cluster", "condition", "messages", "options", "generate")
REPLY_COLUMNS = ("item", "kind", "sample", "reply", "logprob", "tokens", "ended", "status")
RECORD_COLUMNS = ("metric", "item", "cluster", "condition", "value", "status", "label")
STATUSES = ("parsed", "unparsed", "refused", "failed")


@dataclass(frozen=True)
class Metric:
    """One number of a vertical: its name, which direction is better, and how records become it."""

    name: str
    better: Literal["lower", "higher"] | None
    description: str
    headline: bool = False
    """Each vertical has exactly one headline metric: the report's first plot shows it."""
    statistic: str = "mean"
    """A function of `stats.metrics`: `mean`, `auroc`, `balanced_accuracy`, ..."""
    chance: float | None = None
    """What guessing would score, where that is one number."""
