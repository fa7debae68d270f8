"""The order in which the parsers of agreement and of wrongness search a reply for its verdict."""

from collections.abc import Callable

from trustdag.verticals.parsers.base import DECLINED, UNREAD, ParsedAnswer
from trustdag.verticals.parsers.grammar import Echo
from trustdag.verticals.parsers.refusal import is_refusal
from trustdag.verticals.parsers.text import after_correction
from trustdag.verticals.parsers.yesno import alone


def first_verdict(text: str, said: str, echo: Echo, answer: Callable[[str], ParsedAnswer]) -> ParsedAnswer:
    """The answer of the first part of a reply that has one, else a yes or no that is a whole sentence.

    What follows a correction ("No, wait: yes") precedes what it corrects.

    Args:
        text: The generated reply.
        said: The model's own turn, simplified.
        echo: Patterns of the prompt, which are removed.
        answer: The parser of one part.

    Returns:
        The answer; `DECLINED` for a refusal without one, `UNREAD` for anything else.
    """
    corrected = after_correction(said)
    if corrected is not None:
        verdict = first_verdict(corrected, corrected, echo, answer)
        if verdict is not UNREAD:
            return verdict
    for part in echo.parts(said):
        verdict = answer(part)
        if verdict is not UNREAD:
            return verdict
    says = alone(said)
    if says is not None:
        return ParsedAnswer(says)
    return DECLINED if is_refusal(text) else UNREAD
