"""Converts the result of a parser to a reading, which becomes a record."""

from collections.abc import Sequence

from trustdag.verticals.base import FAILED, NAN, Reading, Reply, Status
from trustdag.verticals.parsers import DECLINED, UNREAD, ParsedAnswer, is_refusal
from trustdag.verticals.parsers.base import Kind

STATUS: dict[Kind, Status] = {
    "read": "parsed",
    "unread": "unparsed",
    "declined": "refused",
    "conflicting": "conflicting",
}


def reading(reply: Reply, answer: ParsedAnswer) -> Reading:
    """The reading of a yes-or-no answer: 1 or 0, or the reason why there is none; failed without a reply."""
    if not reply.ok:
        return FAILED
    if answer.value is None:
        return Reading(NAN, STATUS[answer.kind])
    return Reading(float(answer.value))


def as_answer(text: str, value: bool | None) -> ParsedAnswer:
    """The result of a parser that returns only yes, no or None, such as the paper's."""
    if value is not None:
        return ParsedAnswer(value)
    return DECLINED if is_refusal(text) else UNREAD


def over_all(readings: Sequence[Reading]) -> list[Reading]:
    """The paper's denominator: a reply that neither agrees nor disagrees counts as 0."""
    return [reading if reading.status in ("parsed", "failed") else Reading(0.0) for reading in readings]


def refused(reply: Reply) -> Reading:
    """Whether a reply declines, as 1 or 0; failed without a reply."""
    return Reading(float(is_refusal(reply.text))) if reply.ok else FAILED


def likeliest(probabilities: tuple[float, ...] | None, option: int) -> Reading:
    """1 if the option is the most likely one, else 0; for a tie, 1 divided by the number of tied options."""
    if probabilities is None:
        return FAILED
    best = [number for number, value in enumerate(probabilities) if value == max(probabilities)]
    return Reading(1 / len(best) if option in best else 0.0)
