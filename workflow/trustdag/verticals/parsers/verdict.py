"""What the readers of agreement and of wrongness share: the order in which a reply is searched for its verdict."""

from collections.abc import Callable

from trustdag.verticals.parsers.base import DECLINED, UNREAD, ParsedAnswer
from trustdag.verticals.parsers.grammar import Echo
from trustdag.verticals.parsers.refusal import is_refusal
from trustdag.verticals.parsers.yesno import alone


def first_verdict(text: str, said: str, echo: Echo, answer: Callable[[str], ParsedAnswer]) -> ParsedAnswer:
    """The first part of a reply that gives an answer, else a yes or no that stands alone.

    Args:
        text: The reply as it was generated.
        said: The model's own turn of it, simplified.
        echo: Splits off what repeats the prompt.
        answer: Reads one part.

    Returns:
        The answer; `DECLINED` for a refusal without one, `UNREAD` for anything else.
    """
    for part in echo.parts(said):
        verdict = answer(part)
        if verdict is not UNREAD:
            return verdict
    says = alone(said)
    if says is not None:
        return ParsedAnswer(says)
    return DECLINED if is_refusal(text) else UNREAD
