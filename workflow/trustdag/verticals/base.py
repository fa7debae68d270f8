"""Code that all verticals share: metrics, settings, and the conversion of items and replies to records.

A vertical is a module of this package that defines `VERSION`, `GOLD`, `Settings`, `METRICS`, `items` and `score`.
Modules without `METRICS` are helpers. Statistics are only named here; `stats` computes them from the records' `value`
and, for some, `label`.

| statistic | of `value` | and `label` |
|---|---|---|
| `mean` | the number | none |
| `ratio` | numerator | denominator: sum of values over sum of labels |
| `difference` | the number | 1 or 0: mean of the 1s minus mean of the 0s |
| `balanced_accuracy` | 1 if the answer is right, else 0 | the item's class, 1 or 0 |
| `auroc` | score for class 1 | the item's class |
| `ece` | probability of class 1 | the item's class |

Each metric has at most one record per item. An item whose replies give no number has a record with value NaN and the
reason as status. So n counts all items, and not only those with a parsed answer.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import model_validator

from trustdag.settings import Section

if TYPE_CHECKING:
    import pandas as pd

RECORD_COLUMNS = ("metric", "item", "cluster", "condition", "value", "status", "label")
STATISTICS = ("mean", "ratio", "difference", "balanced_accuracy", "auroc", "ece")
"""The statistics of the table above, which stats/estimators.py computes."""
STATUSES = ("parsed", "unparsed", "conflicting", "refused", "failed")
"""`unparsed`: the reply contains no answer that the parser recognizes; `conflicting`: it gives answers that exclude
each other; `refused`: it declines; `failed`: there is no reply or no number, for example for an item that does not fit
the model's context."""
NAN = float("nan")

COMPREHENSION, MANIPULATION = "comprehension", "manipulation"
FIRST_NAMED = "first_named"
"""Conditions of the items that check whether the model understands the task and notices the persona."""
ADVERSARIAL, SUFFIX, PERSONA_EFFECT = "adversarial", "_adversarial", "persona_effect"

Status = Literal["parsed", "unparsed", "conflicting", "refused", "failed"]
Change = Literal["rose", "fell"]
Protocol = Literal["sound", "paper"]


@dataclass(frozen=True)
class Metric:
    """One metric of a vertical: its name, the better direction, and the statistic of its records."""

    name: str
    direction: Literal["lower", "higher"] | None
    description: str
    headline: bool = False
    """Each vertical has exactly one headline metric, which the report's first plot shows."""
    statistic: str = "mean"
    """The function of the records' `value` and `label` that gives the metric; see the table above."""
    chance: float | None = None
    """The score of guessing, if it is a constant."""
    facets: tuple[str, ...] = ()
    """Gold columns, such as `topic`, for each of whose values the metric is computed too. Records contain them."""
    benign: bool = False
    """Whether only items of the benign persona count. Items of the adversarial persona are recorded as
    NAME_adversarial if the vertical defines that metric, and else not recorded."""


@dataclass(frozen=True)
class Companion:
    """A verdict on a change of the headline metric that depends on changes of other metrics.

    It applies if every metric that it names was measured. See stats/companions.py.
    """

    verdict: str
    """The verdict, such as `agrees with everything more`."""
    headline: Change
    """Direction of the headline metric's change."""
    moved: tuple[tuple[str, Change], ...]
    """Metrics that must all have changed in the given direction."""
    unless: tuple[tuple[str, Change], ...] = ()
    """Metrics of which none may have changed in the given direction. If one did, this verdict does not apply."""


def adversarial(metrics: Iterable[Metric]) -> tuple[Metric, ...]:
    """The metrics over items of the adversarial persona, and the persona's effect on the headline metric."""
    listed = list(metrics)
    headline = next(metric for metric in listed if metric.headline)
    said = f"{headline.description}: under the adversarial persona minus under the benign one"
    return (
        *(
            replace(metric, name=f"{metric.name}{SUFFIX}", headline=False, benign=False, facets=(),
                    description=f"{metric.description}, under the adversarial persona")
            for metric in listed
        ),
        Metric(PERSONA_EFFECT, headline.direction, said, statistic="difference", chance=0.0),
    )  # fmt: skip


def answers_less(headline: str) -> tuple[Companion, ...]:
    """The verdict for a lower-is-better headline that fell while more replies gave no answer."""
    return tuple(
        Companion("answers less", "fell", ((metric, "rose"),), ((f"{headline}_worst", "fell"),))
        for metric in ("refusal", "unparsed")
    )


def bounds(metric: Metric) -> tuple[Metric, ...]:
    """Variants of the headline metric in which replies without an answer count as the best or the worst answer."""
    counted = {
        "best": "every reply without an answer counted as the better one",
        "worst": "every reply without an answer counted as the worse one",
        "refusal_safe": "refusals counted as the better answer",
        "refusal_unsafe": "refusals counted as the worse answer",
    }
    plain = replace(metric, headline=False, chance=None, facets=())
    return tuple(
        replace(plain, name=f"{metric.name}_{name}", description=f"{metric.description}: {how}")
        for name, how in counted.items()
    )


def with_variants(metrics: dict[str, Metric], names: Iterable[str]) -> dict[str, Metric]:
    """The metrics, and for each name such as `emt.NAME` a variant of the metric `emt`.

    A vertical whose settings name several scorers has a variant for each scorer after the first. A variant is never a
    headline. A name whose metric is unknown is ignored.
    """
    known = {name: name.partition(".")[0] for name in sorted(set(names) - set(metrics))}
    return metrics | {
        name: replace(metrics[base], name=name, headline=False) for name, base in known.items() if base in metrics
    }


def question(
    item: str,
    text: str,
    *,
    cluster: str | None = None,
    condition: str = "benign",
    options: Sequence[str] = (),
    **gold: Any,
) -> dict[str, Any]:
    """A row of a table of items: a question for sampled replies, and for the likelihoods of options if it has some.

    Args:
        item: Its name, which no other item has.
        text: What the user says.
        cluster: The name that items share which are one independent observation; by default each is one.
        condition: Numbers are given for each condition, and for all together.
        options: Replies whose likelihoods are compared.
        gold: The vertical's own columns, those in its `GOLD`.
    """
    messages = [{"role": "user", "content": text}]
    row = {"item": item, "cluster": cluster or item, "condition": condition, "messages": messages}
    return row | {"options": list(options), "generate": True} | gold


@dataclass(frozen=True)
class Reading:
    """The value of one reply: a number if the status is `parsed`, else NaN."""

    value: float
    status: Status = "parsed"
    weight: float = 1.0
    """Of an item's readings as one: the share of its samples that were read. The item counts by so much in a mean."""
    samples: tuple["Reading", ...] = field(default=(), compare=False)
    """Of an item's readings as one: the reading of each sample."""

    @property
    def opposite(self) -> "Reading":
        """The reading of the opposite: 1 less the value."""
        return replace(self, value=1 - self.value, samples=tuple(sample.opposite for sample in self.samples))


UNPARSED, REFUSED, FAILED = Reading(NAN, "unparsed"), Reading(NAN, "refused"), Reading(NAN, "failed")


def pooled(readings: Sequence[Reading]) -> Reading:
    """One reading for all samples of an item: the mean of the parsed ones, or else the most common status.

    The weight is the parsed share of the samples that have a reply.
    """
    values = [reading.value for reading in readings if reading.status == "parsed"]
    if values:
        replies = sum(reading.status != "failed" for reading in readings)
        return Reading(sum(values) / len(values), weight=len(values) / replies, samples=tuple(readings))
    reasons = [reading.status for reading in readings] or ["failed"]
    return Reading(NAN, max(STATUSES[1:], key=reasons.count), samples=tuple(readings))  # type: ignore[arg-type]


def bounded(readings: Sequence[Reading], better: float) -> dict[str, Reading]:
    """One item's readings with samples without an answer counted as best or worst, by the suffixes of `bounds`.

    Args:
        readings: The readings of the samples, with values from 0 to 1.
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
    """The share of an item's existing samples that have one of these statuses."""
    counted = [reading.status in statuses for reading in readings if reading.status != "failed"]
    return Reading(sum(counted) / len(counted)) if counted else FAILED


@dataclass(frozen=True)
class Reply:
    """One sampled reply."""

    text: str
    ok: bool
    """False if the item did not fit the model's context."""


@dataclass(frozen=True)
class ItemReplies:
    """One item with all replies of a model to it."""

    row: Any
    """The item: a named tuple of its columns."""
    replies: tuple[Reply, ...]
    logprobs: tuple[float, ...]
    """Log-probabilities of the options, in order; NaN for a missing one."""

    @property
    def probabilities(self) -> tuple[float, ...] | None:
        """Softmax of the options' summed log-probabilities; None if one is missing."""
        from math import exp, isfinite

        if not self.logprobs or not all(isfinite(value) for value in self.logprobs):
            return None
        highest = max(self.logprobs)
        weights = [exp(value - highest) for value in self.logprobs]
        return tuple(weight / sum(weights) for weight in weights)


def item_replies(items: "pd.DataFrame", replies: "pd.DataFrame") -> Iterator[ItemReplies]:
    """Each item with its replies, in the items' order.

    Raises UserError if a reply belongs to no item, or an item has not all of its replies.
    """
    from trustdag.errors import UserError

    of_kind: dict[tuple[str, str], list[Any]] = defaultdict(list)
    rows: Any = replies.sort_values("sample", kind="stable").itertuples(index=False)
    for reply in rows:
        of_kind[reply.item, reply.kind].append(reply)
    strangers = {item for item, _ in of_kind} - set(items["item"])
    if strangers:
        raise UserError(f"replies: item {min(strangers)} is not among the items; generate again for these items")
    asked_rows: Any = items.itertuples(index=False)
    for row in asked_rows:
        sampled, options = of_kind[row.item, "generate"], of_kind[row.item, "likelihood"]
        if bool(sampled) != bool(row.generate) or len(options) != len(row.options):
            raise UserError(f"replies: item {row.item} has not all of its replies; generate again for these items")
        yield ItemReplies(
            row,
            tuple(Reply(reply.reply, reply.status == "ok") for reply in sampled),
            tuple(reply.logprob if reply.status == "ok" else NAN for reply in options),
        )


class Records:
    """Collects records row by row, with the contract's columns and the items' `facets` (gold columns)."""

    def __init__(self, metrics: Sequence[Metric], facets: Sequence[str] = ()) -> None:
        self._facets = tuple(facets)
        self._metrics = {metric.name: metric for metric in metrics}
        self._rows: list[tuple[Any, ...]] = []
        self._optional: dict[str, dict[int, Any]] = {"draws": {}, "samples": {}}
        self._weights: list[float] = []

    def add(self, metric: str, row: Any, reading: Reading, label: float = NAN, draws: Any = None) -> None:
        """Adds a record: the metric's reading of one item.

        If the metric counts the benign persona only, an item of the adversarial persona gives a record of
        NAME_adversarial. The headline metric's reading is recorded as `persona_effect` too, if that is defined.

        Args:
            metric: the metric's name.
            row: the item, a row of the table of items.
            reading: the value of the item's replies.
            label: the item's true class, for metrics that need one.
            draws: the value with each refit of the scorer's calibration, in the same order for all records of a study.
                Intervals include their spread.
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
            self._optional["draws"][len(self._rows)] = draws
        if len(reading.samples) > 1:
            readings = [{"value": sample.value, "status": sample.status} for sample in reading.samples]
            self._optional["samples"][len(self._rows)] = readings
        self._weights.append(reading.weight)
        facets = [str(getattr(row, name)) for name in self._facets]
        record = (metric, row.item, row.cluster, row.condition, reading.value, reading.status, label)
        self._rows.append((*record, *facets))

    def frame(self) -> "pd.DataFrame":
        """All records as a table with the contract's columns and the facets; `weight` is below one for an item of which
        some samples could not be parsed, and `samples` holds the reading of each where there are several."""
        import pandas as pd

        frame = pd.DataFrame(self._rows, columns=[*RECORD_COLUMNS, *self._facets])
        for name, cells in self._optional.items():
            if cells:
                frame[name] = pd.Series(cells, dtype=object).reindex(frame.index)
        if any(weight != 1 for weight in self._weights):
            frame["weight"] = self._weights
        return frame.astype({"value": "float64", "label": "float64"})


class VerticalSettings(Section):
    """The settings of a vertical, in three parts. A change of one part re-runs only the rules that depend on it."""

    DEFAULTS: ClassVar[dict[str, dict[str, Any]]] = {}
    """By part: defaults of the sound protocol that differ from the part's own."""
    PAPER: ClassVar[dict[str, dict[str, Any]]] = {}
    """By part: defaults of the paper's protocol."""
    TOY: ClassVar[dict[str, dict[str, Any]]] = {}
    """By part: defaults of the toy world that differ from DEFAULTS."""
    ASKED: ClassVar[tuple[float, float]] = (1, 2)
    """What one record of the benchmark becomes: items with sampled replies, and options. For estimates of time."""

    protocol: Protocol = "sound"
    """`sound`, or `paper`: prompts and scoring of arXiv 2404.18870, for comparison only. Sets the parts' defaults."""

    @model_validator(mode="before")
    @classmethod
    def _protocol_reaches_parts(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        items = values.get("items")
        toy = isinstance(items, dict) and items.get("source") == "toy"
        protocol = values.get("protocol", "sound")
        if toy and protocol == "paper":
            raise ValueError("the paper's protocol needs the benchmark; the toy world has the sound protocol only")
        # `sound` is every part's default, and a plugin's items may know no other.
        chosen = {} if protocol == "sound" else {"protocol": protocol}
        layers = [{"items": {} if toy else chosen, "score": chosen}]
        layers += [cls.PAPER] if protocol == "paper" else [cls.DEFAULTS, cls.TOY if toy else {}]
        return values | {part: _under(values.get(part), [layer.get(part, {}) for layer in layers]) for part in PARTS}


PARTS = ("items", "generate", "score")


def _under(given: Any, layers: list[dict[str, Any]]) -> Any:
    """A part's raw settings, merged over its layers of defaults. Later layers override earlier ones."""
    if given is not None and not isinstance(given, dict):
        return given
    merged: dict[str, Any] = {}
    for layer in [*layers, given or {}]:
        merged |= layer
    return merged


class ScoreSection(Section):
    """The scoring settings of every vertical."""

    protocol: Protocol = "sound"
    """Parser of replies: `sound`, or `paper` for that of the paper's code. Usually set once for the whole vertical."""

    def files(self) -> list[str]:
        """Input files of the records besides items and replies."""
        return []


def mean(values: Iterable[float]) -> float:
    """The arithmetic mean. Raises ZeroDivisionError for no values."""
    held = list(values)
    return sum(held) / len(held)
