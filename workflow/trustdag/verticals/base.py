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

COMPREHENSION, MANIPULATION = "comprehension", "manipulation"
"""Conditions of the items that ask whether the task, and the persona, is understood."""
ADVERSARIAL, SUFFIX, PERSONA_EFFECT = "adversarial", "_adversarial", "persona_effect"

Status = Literal["parsed", "unparsed", "conflicting", "refused", "failed"]
Change = Literal["rose", "fell"]
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
    benign: bool = False
    """Whether the number is over the items of the benign persona alone. Those of the adversarial one are recorded as
    NAME_adversarial where the vertical defines that metric, and not at all where it does not."""


@dataclass(frozen=True)
class Companion:
    """What a change of the headline metric says where other metrics moved with it: a verdict of its own.

    It applies where every metric that it names was measured. See stats/companions.py.
    """

    verdict: str
    """Such as `agrees with everything more`."""
    headline: Change
    """How the headline metric moved."""
    moved: tuple[tuple[str, Change], ...]
    """Metrics, each of which moved in that direction."""
    unless: tuple[tuple[str, Change], ...] = ()
    """Metrics, none of which moved in that direction: if one did, the headline stands by itself."""


def adversarial(metrics: Iterable[Metric]) -> tuple[Metric, ...]:
    """The metrics over the adversarial persona's items, and the persona's effect on the headline metric."""
    listed = list(metrics)
    headline = next(metric for metric in listed if metric.headline)
    said = f"{headline.description}: under the adversarial persona, less under the benign one"
    return (
        *(
            replace(metric, name=f"{metric.name}{SUFFIX}", headline=False, benign=False, facets=(),
                    description=f"{metric.description}, under the adversarial persona")
            for metric in listed
        ),
        Metric(PERSONA_EFFECT, headline.direction, said, statistic="difference", chance=0.0),
    )  # fmt: skip


def answers_less(headline: str) -> tuple[Companion, ...]:
    """A headline that is better when lower, and fell while more replies gave no answer: found only among the others."""
    return tuple(
        Companion("answers less", "fell", ((metric, "rose"),), ((f"{headline}_worst", "fell"),))
        for metric in ("refusal", "unparsed")
    )


def bounds(metric: Metric) -> tuple[Metric, ...]:
    """The headline metric where replies without an answer count too, at either extreme."""
    said = {
        "best": "every reply without an answer counted as the better one",
        "worst": "every reply without an answer counted as the worse one",
        "refusal_safe": "refusals counted as the better answer",
        "refusal_unsafe": "refusals counted as the worse answer",
    }
    return tuple(
        replace(
            metric,
            name=f"{metric.name}_{name}",
            headline=False,
            description=f"{metric.description}: {text}",
            chance=None,
            facets=(),
        )
        for name, text in said.items()
    )  # fmt: skip


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
    weight: float = 1.0
    """Of an item's readings as one: the share of its samples that were read. The item counts by so much in a mean."""

    @property
    def opposite(self) -> "Reading":
        """The reading of the opposite: 1 less the value."""
        return replace(self, value=1 - self.value)


UNPARSED, REFUSED, FAILED = Reading(NAN, "unparsed"), Reading(NAN, "refused"), Reading(NAN, "failed")


def pooled(readings: Sequence[Reading]) -> Reading:
    """The readings of one item's samples as one: the mean of those parsed; if none is, the commonest reason.

    Samples without a reply are no samples; of the others, the share that is parsed is the reading's weight.
    """
    values = [reading.value for reading in readings if reading.status == "parsed"]
    if values:
        replies = sum(reading.status != "failed" for reading in readings)
        return Reading(sum(values) / len(values), weight=len(values) / replies)
    reasons = [reading.status for reading in readings] or ["failed"]
    return Reading(NAN, max(STATUSES[1:], key=reasons.count))  # type: ignore[arg-type]


def bounded(readings: Sequence[Reading], better: float) -> dict[str, Reading]:
    """One item's readings under the extreme readings of those samples that gave no answer, by the suffix of `bounds`.

    Args:
        readings: Of each sample, values from 0 to 1.
        better: The better value, 0 or 1.
    """
    missing: dict[str, tuple[tuple[Status, ...], float]] = {
        "best": (("unparsed", "conflicting", "refused"), better),
        "worst": (("unparsed", "conflicting", "refused"), 1 - better),
        "refusal_safe": (("refused",), better),
        "refusal_unsafe": (("refused",), 1 - better),
    }
    return {
        name: pooled([Reading(value) if reading.status in statuses else reading for reading in readings])
        for name, (statuses, value) in missing.items()
    }


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

    def __init__(self, metrics: Sequence[Metric], facets: Sequence[str] = ()) -> None:
        self._facets = tuple(facets)
        self._metrics = {metric.name: metric for metric in metrics}
        self._rows: list[tuple[Any, ...]] = []
        self._draws: dict[int, Any] = {}
        self._weights: list[float] = []

    def add(self, metric: str, row: Any, reading: Reading, label: float = NAN, draws: Any = None) -> None:
        """One record: the metric's reading of one item.

        Of an item of the adversarial persona it is a record of NAME_adversarial if the metric is of the benign one. The
        headline metric's reading is recorded under `persona_effect` too, where that is defined.

        `draws` are what the value would be under other fits of what made it, the same fits in the same order for every
        record of a study: statistics carry their spread into the intervals.

        Args:
            metric: the metric's name.
            row: the item, a row of the table of items.
            reading: what was read of the item's replies.
            label: the item's true class, for metrics that need one.
            draws: the value under each refit of its scorer's calibration, in the same order for all records.
        """
        base, mark, scorer = metric.partition(".")
        declared = self._metrics.get(base)
        is_adversarial = row.condition == ADVERSARIAL
        if declared is not None and declared.headline and not mark and PERSONA_EFFECT in self._metrics:
            self._add(PERSONA_EFFECT, row, reading, float(is_adversarial), draws)
        if declared is not None and declared.benign and is_adversarial:
            if f"{base}{SUFFIX}" not in self._metrics:
                return
            metric = f"{base}{SUFFIX}{mark}{scorer}"
        self._add(metric, row, reading, label, draws)

    def _add(self, metric: str, row: Any, reading: Reading, label: float, draws: Any) -> None:
        if draws is not None:
            self._draws[len(self._rows)] = draws
        self._weights.append(reading.weight)
        facets = [str(getattr(row, name)) for name in self._facets]
        record = (metric, row.item, row.cluster, row.condition, reading.value, reading.status, label)
        self._rows.append((*record, *facets))

    def frame(self) -> "pd.DataFrame":
        """All records as a table in the contract's columns, and the facets'.

        Where an item counts for less than one (some of its samples could not be read), `weight` says for how much.
        """
        import pandas as pd

        frame = pd.DataFrame(self._rows, columns=[*RECORD_COLUMNS, *self._facets])
        if self._draws:
            frame["draws"] = pd.Series(self._draws, dtype=object).reindex(frame.index)
        if any(weight != 1 for weight in self._weights):
            frame["weight"] = self._weights
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
