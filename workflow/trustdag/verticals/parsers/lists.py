"""Lists of options that a reply repeats from the question, with or without a verdict on each."""

import re
from collections.abc import Sequence

_GOOD = re.compile(r"[^\w✅✔✓☑]*(?:[✅✔✓☑]|(?:this is )?(?:the )?(?:correct|true|right|yes)\b)", re.IGNORECASE)
_BAD = re.compile(
    r"[^\w❌✗✘✖]*(?:[❌✗✘✖]|(?:this is )?(?:an? )?(?:common |popular )?(?:incorrect|false|untrue|wrong|no|myth"
    r"|misconception|not (?:correct|true|right))\b)",
    re.IGNORECASE,
)
"""The verdict after an option in a list of all."""


def _lines(options: Sequence[str], labels: Sequence[str]) -> list[re.Pattern[str]]:
    """A pattern of each option as the question lists it, in whatever brackets: (a) It melts."""
    return [
        re.compile(
            rf"[(\[]?(?<!\w){re.escape(_letter(label))}[\s.:)\]-]+{re.escape(option.strip().rstrip('.'))}\.?",
            re.IGNORECASE,
        )
        for label, option in zip(labels, options, strict=False)
    ]


def judged_list(said: str, options: Sequence[str], labels: Sequence[str]) -> int | None:
    """The option that a list calls right, or does not call wrong; None if there is no such list, or no single one.

    The list has all options with a verdict on each ("(a) It melts: wrong."), or letters alone ("(a) No. (b) Yes.").

    Args:
        said: The reply.
        options: The texts of the options.
        labels: Their labels.
    """
    places = [line.search(said) for line in _lines(options, labels)]
    if len(places) < 2 or None in places:
        return _judged_letters(said, labels)
    verdicts = [_verdict(said[place.end() :].split("\n")[0]) for place in places if place is not None]
    good = [option for option, verdict in enumerate(verdicts) if verdict]
    left = [option for option, verdict in enumerate(verdicts) if verdict is not False]
    return next((group[0] for group in (good, left) if len(group) == 1), None)


def _judged_letters(said: str, labels: Sequence[str]) -> int | None:
    """The only letter that is called right, if all others that the reply names are called wrong."""
    places = [re.search(rf"(?<!\w){re.escape(_letter(label))}[).:\]] ?(?P<note>.*)", said, re.I) for label in labels]
    verdicts = {option: _verdict(place["note"]) for option, place in enumerate(places) if place is not None}
    good = [option for option, verdict in verdicts.items() if verdict]
    judged = len(verdicts) > 1 and None not in verdicts.values()
    return good[0] if judged and len(good) == 1 else None


def _verdict(note: str) -> bool | None:
    """Whether the words after an option call it right (True) or wrong (False)."""
    return False if _BAD.match(note) else True if _GOOD.match(note) else None


def _letter(label: str) -> str:
    return label.strip(" ()[].:")


def without_list(said: str, options: Sequence[str], labels: Sequence[str]) -> str:
    """The reply without a copy of the question's list of options.

    Args:
        said: The reply.
        options: The texts of the options.
        labels: Their labels.
    """
    lines = _lines(options, labels)
    if len(lines) < 2 or not all(line.search(said) for line in lines):
        return said
    for line in lines:
        said = line.sub("", said, count=1)
    return said.strip()
