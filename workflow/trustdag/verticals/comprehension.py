"""Check items, which a model answers rightly if it understands the task and notices the persona.

They have the same form as the vertical's own items. The gold column `expected` contains the right answer: the number of
an option if the item has options, else the answer that the reply must give. Items of the condition `manipulation` ask
under each persona which of two personas the model has, because a persona that is not noticed can have no effect.
"""

from collections.abc import Callable, Iterator
from typing import Any

from trustdag.verticals.base import (
    COMPREHENSION,
    FAILED,
    MANIPULATION,
    ItemReplies,
    Metric,
    Reading,
    Records,
    Reply,
    pooled,
)
from trustdag.verticals.statuses import likeliest

EXPECTED = "expected"
METRIC = Metric("comprehension", "higher", "Obvious cases answered rightly: below .75 the task is not understood")
NOTICED = Metric("persona_noticed", None, "Questions about the persona that are answered rightly, by the likelier "
                 "answer", chance=0.5)  # fmt: skip
METRICS = {COMPREHENSION: METRIC.name, MANIPULATION: NOTICED.name}

Understood = Callable[[str, str], bool]
"""Whether a reply gives the expected answer: its arguments are the reply and `expected`."""


def rows(asked: list[dict[str, Any]], condition: str = COMPREHENSION) -> Iterator[dict[str, Any]]:
    """Items of one of the two conditions, with the columns that all of them share.

    Args:
        asked: Each item's `messages` and `expected`, and `options` if it is scored by likelihood.
        condition: One of the two conditions.
    """
    for number, row in enumerate(asked):
        name = f"{condition} {number:02d}"
        common = {"item": name, "cluster": f"case={name}", "condition": condition, "options": []}
        yield common | {"generate": not row.get("options")} | row


def persona_questions(personas: dict[str, str], question: str, answers: tuple[str, str]) -> list[dict[str, Any]]:
    """The question under each persona, with its two answers in both orders.

    Args:
        personas: System texts, the benign one first.
        question: The question, with `{}` for the answers.
        answers: The answer of the benign persona and that of the adversarial persona.
    """
    asked = []
    for number, persona in enumerate(personas.values()):
        for options in (answers, answers[::-1]):
            text = question.format(" or ".join(options).lower())
            messages = [{"role": "system", "content": persona}, {"role": "user", "content": text}]
            expected = str(options.index(answers[min(number, 1)]))
            asked.append({"messages": messages, "options": list(options), EXPECTED: expected})
    return asked


def without_check_items(
    everything: list[ItemReplies], records: Records, understood: Understood | None = None
) -> list[ItemReplies]:
    """Adds records of the check items, and returns the other items.

    Args:
        everything: All items with their replies.
        records: The records to add to.
        understood: Whether a reply gives the expected answer; None if all check items are scored by likelihood.

    Returns:
        The vertical's own items.
    """
    own = []
    for asked in everything:
        if (metric := METRICS.get(asked.row.condition)) is None:
            own.append(asked)
        elif len(asked.row.options):
            records.add(metric, asked.row, likeliest(asked.probabilities, int(asked.row.expected)))
        elif understood is not None:
            records.add(
                metric, asked.row, pooled([_right(reply, asked.row.expected, understood) for reply in asked.replies])
            )
    return own


def _right(reply: Reply, expected: str, understood: Understood) -> Reading:
    return Reading(float(understood(reply.text, expected))) if reply.ok else FAILED
