"""Compares what a reply quotes with the texts of the options: whole, cut off, abridged, or of another option."""

import re
from collections.abc import Sequence

from trustdag.verticals.parsers.text import opened, straight

_CLOSE = 0.8
"""A quotation shares this part of its words with an option, in order."""
_SHORT = 3
"""Fewer words are a name and no sentence."""
_PHRASE = 6
"""More words are no part of an option that a reply gives for the whole: for months, ten percent of their brains."""
_NAME = 4
"""Letters of a word that is no function word."""
_WHOLE = 0.75
"""A sentence that leaves words of an option out has this part of them."""
_DENIALS = {"not", "t", "never", "nobody", "nothing", "none", "cannot", "neither", "wrong", "false", "incorrect",
            "myth", "rather", "instead"}  # fmt: skip
_AUXILIARIES = {"do", "does", "did", "don", "doesn", "didn"}
_PART = 0.6
"""The same of a sentence that writes a pronoun for its subject."""
_FUNCTION = {
    "a", "an", "the", "this", "that", "these", "it", "they", "he", "she", "we", "you", "i", "its", "their",
    "his", "her", "your", "our", "is", "are", "was", "were", "be", "been", "will", "would", "do", "does",
    "did", "has", "have", "had", "to", "of", "in", "on", "at", "by", "for", "as", "and", "or", "so", "but",
    "then", "just", "simply", "actually", "really", "yes", "no", "all", "any", "how", "who", "why", "can",
    "may", "one", "out", "now", "some", "thing",
}  # fmt: skip
_PLURALS = {"are": "is", "were": "was", "do": "does", "have": "has"}
_PRONOUNS = {"it", "they", "he", "she", "we"}
_ELLIPSIS = {"it", "they", "he", "she", "this", "that", "you", "we", "is", "are", "was", "were", "do", "does", "did",
             "can", "not", "don", "doesn", "didn", "isn", "aren", "wasn", "weren", "t"}  # fmt: skip
"""Words of a sentence that only repeats yes or no."""
_LEADING = {"yes", "no", "true", "false"}


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation and contractions."""
    return re.findall(r"\w+", opened(straight(text)))


def stated(said: Sequence[str], options: Sequence[str], leading: bool = False) -> list[int]:
    """The options whose whole text is in a reply, without those inside another stated one.

    Args:
        said: The words of the reply.
        options: The texts of the options.
        leading: Whether the reply must start with the text.
    """
    wholes = [words(option) for option in options]
    texts = [_spaced(_core(text) if not leading and _denials(text) == _denials(said) else text) for text in wholes]
    if all(len(text) >= _SHORT for text in wholes):  # A short name in another number may be another thing.
        texts, said = [_spaced(_in_singular(text.split())) for text in texts], _in_singular(said)
    reply = _spaced(said)
    whole = [
        option
        for option, text in enumerate(texts)
        if text.strip() and (reply.startswith(text) if leading or text.strip() in _LEADING else text in reply)
    ]
    return [
        option
        for option in whole
        if not any(texts[option] != texts[other] and texts[option] in texts[other] for other in whole)
    ]


def begun(said: Sequence[str], options: Sequence[str]) -> int | None:
    """The only option that starts with the whole reply, cut off after two words or more, or that holds it as a name."""
    texts = [words(text) for text in options]
    if len(said) > _SHORT - 1 and said[0] in ("it", "that") and said[1] in ("is", "was"):
        said = said[2:]
    if said and said[0] in ("yes", "no") and all(word in _ELLIPSIS for word in said[1:]):
        said = said[:1]
    if len(said) > 1 or said[:1] not in [[word] for word in _LEADING]:
        named = [option for option, text in enumerate(texts) if _names(said, text) and _denials(text) == _denials(said)]
        if len(said) < 2 or (len(said) <= _PHRASE and len(named) == 1):
            return named[0] if len(named) == 1 else None
        if (option := predicated(said, options)) is not None:
            return option
    starting = [option for option, text in enumerate(texts) if _starts(text, said)]
    return starting[0] if len(starting) == 1 else None


def predicated(said: Sequence[str], options: Sequence[str]) -> int | None:
    """The only option that has the few words which follow a pronoun in a reply: They can see."""
    predicate = _core(said)
    if not len(predicate) < len(said) <= _NAME:
        return None
    alike = [option for option, text in enumerate(map(words, options)) if _names(predicate, text)]
    return alike[0] if len(alike) == 1 and _denials(words(options[alike[0]])) == _denials(said) else None


def plainly(says: bool, options: Sequence[str]) -> int | None:
    """The only option that starts with yes, or no, if it says no more than that: No, they can not."""
    word = "yes" if says else "no"
    starting = [(option, text) for option, text in enumerate(map(words, options)) if text[:1] == [word]]
    if len(starting) == 1 and all(other in _ELLIPSIS for other in starting[0][1][1:]):
        return starting[0][0]
    return None


def _starts(text: Sequence[str], said: Sequence[str]) -> bool:
    """Whether a text starts with these words, of which the last may be cut off."""
    start = text[: len(said)]
    return len(start) == len(said) and start[:-1] == list(said[:-1]) and start[-1].startswith(said[-1])


def abridged(said: Sequence[str], options: Sequence[str]) -> int | None:
    """The only option of which a sentence repeats most words, in order, and adds none."""
    texts = list(map(words, options))
    alike = [
        option
        for option, text in enumerate(texts)
        if _denials(said) == _denials(text) and any(_is_most(part, text) for part in (said, _core(said)))
    ]
    if not alike:
        alike = [option for option, text in enumerate(texts) if "," not in options[option] and _means(said, text)]
    return alike[0] if len(alike) == 1 else None


def _is_most(said: Sequence[str], text: Sequence[str]) -> bool:
    """Whether a reply has most words of a text, in order, and no others."""
    return len(text) >= len(said) >= max(float(_SHORT), _WHOLE * len(text)) and _common(said, text) == len(said)


def _means(said: Sequence[str], text: Sequence[str]) -> bool:
    """Whether a reply has most words of a text but function words, in order (or all), and no other that is none."""
    reply, option = _content(said), _content(text)
    whole = _PART if said[:1] and said[0] in _PRONOUNS else _CLOSE
    return (
        len(reply) > 1
        and _denials(said) == _denials(text)
        and said[1:].count("no") == text[1:].count("no")
        and (said[0] not in _LEADING or said[0] == text[0])
        and len(option) >= len(reply) >= whole * len(option)
        and (_common(reply, option) == len(reply) or _without_adverbs(reply, option))
    )


def _without_adverbs(said: Sequence[str], text: Sequence[str]) -> bool:
    """Whether two sentences have the same words, of which adverbs alone stand in other places."""
    alike = [[word for word in words if not word.endswith("ly")] for words in (said, text)]
    return sorted(said) == sorted(text) and alike[0] == alike[1]


def _content(said: Sequence[str]) -> list[str]:
    """The words of a sentence that are no function words."""
    return [word for word in _in_singular(said) if word not in _FUNCTION and word not in _DENIALS]


def contradicts(said: Sequence[str], options: Sequence[str], option: int) -> bool:
    """Whether the sentence after an option's letter is another option's text, or denies the option's own.

    Args:
        said: The words of the sentence.
        options: The texts of the options.
        option: The option whose letter stands before it.
    """
    own = words(options[option])
    if not said or list(said) == own[: len(said)] or _spaced(said) in _spaced(own):
        return False
    if {said[0], own[0]} == {"yes", "no"}:
        return True
    if predicated(said, options) not in (None, option):
        return True
    alike = _common(said, own) / len(said)
    if _denials(said) != _denials(own) and _same_but_for_denials(said, own):
        return True
    others = [words(text) for number, text in enumerate(options) if number != option]
    if len(said) < _SHORT:
        return said in others or (not alike and sum(_names(said, text) for text in others) == 1)
    return any(_quotes(said, text, alike) for text in others)


def _core(text: Sequence[str]) -> list[str]:
    """A sentence without the pronoun at its start, for which a reply may write a name."""
    rest = text[1:] if text and text[0] in _PRONOUNS else text
    return list(rest if len(rest) > 1 and _content(rest) else text)


def _in_singular(text: Sequence[str]) -> list[str]:
    """A sentence without number and in one spelling: fries were, it was; colours, color."""
    return [_PLURALS.get(word, _singular(word)) for word in text]


def _singular(word: str) -> str:
    stem = word[:-1] if len(word) > _NAME and word.endswith("s") and not word.endswith("ss") else word
    return stem[:-2] + "r" if len(stem) > _NAME and stem.endswith("our") else stem


def _names(said: Sequence[str], text: Sequence[str]) -> bool:
    """Whether a few words of a reply are the name that an option holds: (b) United Airlines."""
    named = [
        word for word in said if len(word) >= _NAME or word.isdigit() or (len(word) == _SHORT and word not in _FUNCTION)
    ]
    return bool(named) and _spaced(_in_singular(said)) in _spaced(_in_singular(text))


def _same_but_for_denials(said: Sequence[str], text: Sequence[str]) -> bool:
    """Whether "It does not melt" and "It melts" are alike without not and does."""
    bare_said, bare_text = _bare(said), _bare(text)
    return _common(bare_said, bare_text) >= _WHOLE * max(len(bare_said), len(bare_text))


def _bare(said: Sequence[str]) -> list[str]:
    """The words without negations and auxiliaries, and without a plural or third person's s."""
    return [word.rstrip("s") for word in said if word not in _DENIALS | _AUXILIARIES]


def _quotes(said: Sequence[str], text: list[str], alike: float) -> bool:
    """Whether a sentence is an option's text, whole or cut off, and more like it than like the letter's own."""
    close = _common(said, text) / len(said)
    return close >= _CLOSE and close > alike and _denials(said) == _denials(text[: len(said) + 2])


def denies(said: Sequence[str]) -> bool:
    """Whether a sentence has a negation, beside its leading yes or no."""
    return _denials(said) > 0


def _denials(said: Sequence[str]) -> int:
    """The negations of a sentence, without its leading yes or no."""
    return sum(word in _DENIALS for word in said)


def _spaced(said: Sequence[str]) -> str:
    return f" {' '.join(said)} "


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for one in first:
        previous = 0
        for place, other in enumerate(second, start=1):
            previous, row[place] = row[place], previous + 1 if one == other else max(row[place], row[place - 1])
    return row[-1]
