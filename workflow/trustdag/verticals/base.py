"""What all verticals share: metrics, settings, and the way from items and replies to records.

A vertical is a module beside this one that defines `VERSION`, `GOLD`, `Settings`, `METRICS`, `items` and `score`;
modules without `METRICS` are helpers. Statistics are named here, not computed: records carry a `value` and, for some, a
`label`.

| statistic | of `value` | and `label` |
|---|---|---|
| `mean` | the number | none |
| `ratio` | numerator | denominator: sum of values over sum of labels |
| `difference` | the number | 1 or 0: mean where 1 less mean where 0 |
| `balanced_accuracy` | 1 if the answer is right, else 0 | the item's class, 1 or 0 |
| `auroc` | score for class 1 | the item's class |
| `ece` | probability of class 1 | the item's class |

Each metric has at most one record an item. An item whose replies give no number keeps its record, with value NaN and
the reason as status, so that n counts items asked and not items understood.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import model_validator

from trustdag.settings import Section

if TYPE_CHECKING:
    import pandas as pd

RECORD_COLUMNS = ("metric", "item", "cluster", "condition", "value", "status", "label")
STATUSES = ("parsed", "unparsed", "conflicting", "refused", "failed")
"""`unparsed`: a reply that says nothing that can be read as an answer; `conflicting`: it gives answers that exclude
each other; `refused`: it declines; `failed`: there is no reply or no number, as for an item that the model's context
cannot hold."""
NAN = float("nan")

Status = Literal["parsed", "unparsed", "conflicting", "refused", "failed"]
Protocol = Literal["sound", "paper"]


@dataclass(frozen=True)
class Metric:
    """One number of a vertical: its name, which direction is better, and how records become it."""

    name: str
    direction: Literal["lower", "higher"] | None
    description: str
    headline: bool = False
    """Each vertical has exactly one headline metric: the report's first plot shows it."""
    statistic: str = "mean"
    """The function of `value` and `label` that turns records into the number; see the table above."""
    chance: float | None = None
    """What guessing would score, where that is one number."""
    facets: tuple[str, ...] = ()
    """Gold columns by which the number is also given, value by value, such as each topic; records hold them too."""


def with_variants(metrics: dict[str, Metric], names: Iterable[str]) -> dict[str, Metric]:
    """The metrics, and for each name such as `emt.NAME` the variant of `emt` that it is: the same number another way.

    A vertical whose settings name several scorers has a variant for each scorer after the first. No variant is a
    headline, and a name whose metric is unknown stays unknown.
    """
    known = {name: name.partition(".")[0] for name in sorted(set(names) - set(metrics))}
    return metrics | {
        name: replace(metrics[base], name=name, headline=False) for name, base in known.items() if base in metrics
    }


@dataclass(frozen=True)
class Reading:
    """What was understood of one reply: a number where the status is `parsed`, else NaN."""

    value: float
    status: Status = "parsed"


UNPARSED, REFUSED, FAILED = Reading(NAN, "unparsed"), Reading(NAN, "refused"), Reading(NAN, "failed")


def pooled(readings: Sequence[Reading]) -> Reading:
    """The readings of one item's samples as one: the mean of those parsed; if none is, the commonest reason."""
    values = [reading.value for reading in readings if reading.status == "parsed"]
    if values:
        return Reading(sum(values) / len(values))
    reasons = [reading.status for reading in readings] or ["failed"]
    return Reading(NAN, max(STATUSES[1:], key=reasons.count))  # type: ignore[arg-type]


def share(readings: Sequence[Reading], *statuses: Status) -> Reading:
    """The share of an item's samples that have one of these statuses; of samples that exist."""
    counted = [reading.status in statuses for reading in readings if reading.status != "failed"]
    return Reading(sum(counted) / len(counted)) if counted else FAILED


@dataclass(frozen=True)
class Reply:
    """One sampled reply."""

    text: str
    ok: bool
    """False where the item did not fit the model's context."""


@dataclass(frozen=True)
class ItemReplies:
    """One item with all that a model replied to it."""

    row: Any
    """The item: a named tuple of its columns."""
    replies: tuple[Reply, ...]
    logprobs: tuple[float, ...]
    """Of the options, in their order; NaN where there is none."""

    @property
    def probabilities(self) -> tuple[float, ...] | None:
        """Of the options among each other (softmax of their summed log-probabilities); None where one has no number."""
        from math import exp, isfinite

        if not self.logprobs or not all(isfinite(value) for value in self.logprobs):
            return None
        highest = max(self.logprobs)
        weights = [exp(value - highest) for value in self.logprobs]
        return tuple(weight / sum(weights) for weight in weights)


def item_replies(items: "pd.DataFrame", replies: "pd.DataFrame") -> Iterator[ItemReplies]:
    """Each item with its replies, in the items' order.

    Raises UserError if the replies are not those to these items: of another item, or not all that an item asks for.
    """
    from trustdag.errors import UserError

    found: dict[tuple[str, str], list[Any]] = {}
    rows: Any = replies.sort_values("sample", kind="stable").itertuples(index=False)
    for reply in rows:
        found.setdefault((reply.item, reply.kind), []).append(reply)
    strangers = {item for item, _ in found} - set(items["item"])
    if strangers:
        raise UserError(f"replies: item {min(strangers)} is not among the items; generate again for these items")
    asked_rows: Any = items.itertuples(index=False)
    for row in asked_rows:
        sampled, options = found.get((row.item, "generate"), []), found.get((row.item, "likelihood"), [])
        if bool(sampled) != bool(row.generate) or len(options) != len(row.options):
            raise UserError(f"replies: item {row.item} lacks replies that it asks for; generate again for these items")
        yield ItemReplies(
            row,
            tuple(Reply(reply.reply, reply.status == "ok") for reply in sampled),
            tuple(reply.logprob if reply.status == "ok" else NAN for reply in options),
        )


class Records:
    """Collects records, row by row, with the items' `facets` (gold columns) beside the contract's columns."""

    def __init__(self, facets: Sequence[str] = ()) -> None:
        self._facets = tuple(facets)
        self._rows: list[tuple[Any, ...]] = []
        self._draws: dict[int, Any] = {}

    def add(self, metric: str, row: Any, reading: Reading, label: float = NAN, draws: Any = None) -> None:
        """One record: the metric's reading of one item.

        `draws` are what the value would be under other fits of what made it, the same fits in the same order for every
        record of a study: statistics carry their spread into the intervals.

        Args:
            metric: the metric's name.
            row: the item, a row of the table of items.
            reading: what was read of the item's replies.
            label: the item's true class, for metrics that need one.
            draws: the value under each refit of its scorer's calibration, in the same order for all records.
        """
        if draws is not None:
            self._draws[len(self._rows)] = draws
        facets = [str(getattr(row, name)) for name in self._facets]
        record = (metric, row.item, row.cluster, row.condition, reading.value, reading.status, label)
        self._rows.append((*record, *facets))

    def frame(self) -> "pd.DataFrame":
        """All records as a table in the contract's columns, and the facets'."""
        import pandas as pd

        frame = pd.DataFrame(self._rows, columns=[*RECORD_COLUMNS, *self._facets])
        if self._draws:
            frame["draws"] = pd.Series(self._draws, dtype=object).reindex(frame.index)
        return frame.astype({"value": "float64", "label": "float64"})


class VerticalSettings(Section):
    """The settings of every vertical: three parts, so that a change to one re-runs only what depends on it."""

    DEFAULTS: ClassVar[dict[str, dict[str, Any]]] = {}
    """By part, the defaults of the sound protocol that differ from the part's own."""
    PAPER: ClassVar[dict[str, dict[str, Any]]] = {}
    """The same, of the paper's protocol."""
    TOY: ClassVar[dict[str, dict[str, Any]]] = {}
    """What differs from DEFAULTS in the toy world."""

    protocol: Protocol = "sound"
    """`sound`, or `paper`: as arXiv 2404.18870 asked and scored, for comparison alone. Sets every part's defaults."""

    @model_validator(mode="before")
    @classmethod
    def _protocol_reaches_parts(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        items = values.get("items")
        toy = isinstance(items, dict) and items.get("source") == "toy"
        protocol = values.get("protocol", "sound")
        if toy and protocol == "paper":
            raise ValueError("the paper's protocol needs the benchmark: the toy world is asked soundly alone")
        layers = [{"items": {} if toy else {"protocol": protocol}, "score": {"protocol": protocol}}]
        layers += [cls.PAPER] if protocol == "paper" else [cls.DEFAULTS, cls.TOY if toy else {}]
        return values | {part: _under(values.get(part), [each.get(part, {}) for each in layers]) for part in PARTS}


PARTS = ("items", "generate", "score")


def _under(given: Any, layers: list[dict[str, Any]]) -> Any:
    """A part's raw settings over its layers of defaults, the last of which prevails."""
    if given is not None and not isinstance(given, dict):
        return given
    merged: dict[str, Any] = {}
    for layer in [*layers, given or {}]:
        merged |= layer
    return merged


class ScoreSection(Section):
    """The scoring settings of every vertical."""

    protocol: Protocol = "sound"
    """How replies are read: `sound`, or `paper`, as the paper's code did; usually set once for the whole vertical."""

    def files(self) -> list[str]:
        """Files beside items and replies that the records follow from."""
        return []


def mean(values: Iterable[float]) -> float:
    """The arithmetic mean. Raises ZeroDivisionError for none."""
    held = list(values)
    return sum(held) / len(held)
