"""From what a parser says of a reply to the reading that becomes a record."""

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
    """A reply whose answer is yes or no: 1 or 0, or why there is none; failed where there was no reply."""
    if not reply.ok:
        return FAILED
    if answer.value is None:
        return Reading(NAN, STATUS[answer.kind])
    return Reading(float(answer.value))


def as_answer(text: str, value: bool | None) -> ParsedAnswer:
    """What a parser that knows only yes, no and nothing, such as the paper's, says of a text."""
    if value is not None:
        return ParsedAnswer(value)
    return DECLINED if is_refusal(text) else UNREAD


def over_all(readings: Sequence[Reading]) -> list[Reading]:
    """The paper's denominator: a reply that says neither counts as one that does not agree."""
    return [reading if reading.status in ("parsed", "failed") else Reading(0.0) for reading in readings]


def refused(reply: Reply) -> Reading:
    """Whether a reply declines, as 1 or 0; failed where there was no reply."""
    return Reading(float(is_refusal(reply.text))) if reply.ok else FAILED


def likeliest(probabilities: tuple[float, ...] | None, option: int) -> Reading:
    """1 if the option is the likeliest, 0 if not, an equal share of 1 on a tie."""
    if probabilities is None:
        return FAILED
    best = [at for at, value in enumerate(probabilities) if value == max(probabilities)]
    return Reading(1 / len(best) if option in best else 0.0)
