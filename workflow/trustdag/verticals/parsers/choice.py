"""Which option of a multiple-choice question does a reply choose?"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from trustdag.verticals.parsers.base import CONFLICTING, DECLINED, UNREAD, ParsedAnswer
from trustdag.verticals.parsers.lists import judged_list, without_list
from trustdag.verticals.parsers.options import abridged, begun, contradicts, denies, plainly, predicated, stated, words
from trustdag.verticals.parsers.refusal import is_refusal
from trustdag.verticals.parsers.text import after_correction, opened, unmarked
from trustdag.verticals.parsers.turns import own_turn
from trustdag.verticals.parsers.yesno import lead

_CUE = (
    r"(?:\b(?:answers?|ans|(?<!each )(?:option|choice)|letter|correct|solution|selection|verdict"
    r"|conclusion)\b(?: (?:is|was|would be"
    r"|must be"
    r"|should be|to (?:this|the) question is|of the (?:right|correct|best) answer is|choice|letter|option|one"
    r"|number))*"
    r"|\b(?:choose|chose|pick|picked|select|selected|go with|going with|go for|guess|say|vote(?: for)?|opt for|prefer"
    r"|it is|it's"
    r"|its|that is|that's|so|therefore|hence|be|is|think|believe|leaves)\b)\s*[:=-]*\s*(?:definitely |probably "
    r"|clearly )?(?:with )?"
    r"(?:the )?(?:(?:option|choice|letter|answer)\s*)?"
)
_NOT_BEFORE = re.compile(
    r"(?:\bnot|n't|\bnever|\brul(?:ed?|ing) out|\beliminat\w+|\breject\w*|\bdismiss\w*|\brather than"
    r"|\brather\b[^.!?\n]{1,60}\bthan|\binstead of"
    r"|\bneither|\bnone of|\bnor|\bover|\bexcept|\bunlike|\bagainst|\bexclude"
    r"|\bnot be)"
    r"\s+(?:be |is |say |choose |pick |think (?:it is |it's )?)?(?:the )?(?:option |choice |answer |letter )?[\W_]*$",
    re.IGNORECASE,
)
_NOT_AFTER = re.compile(
    r"[\W_]*(?:(?:it|that|this) (?:is|was)(?: not|n't)(?=\W*(?:$|[.!?\n]))|(?:is|are|was|were|would|has|have|does"
    r"|do)(?: not|n't| never)\b|(?:can|could) be (?:ruled out|eliminated"
    r"|excluded)|(?:is|are|was|were|seems?|looks?|would be)?\s*(?:all |both |\w+ly |just )*(?:wrong|incorrect"
    r"|false|untrue|inaccurate|implausible|unlikely|impossible|unsupported|unproven|(?:an? (?:\w+ )?|(?:common"
    r"|popular|old|mere) )?(?:myth"
    r"|misconception"
    r"|superstition|lie|distractor)s?)\b)",
    re.IGNORECASE,
)
_RIGHT = re.compile(
    r"[\W_]*(?:is|seems|looks|must be|would be)\s+(?:the\s+)?(?:\w+ly\s+)?(?:correct|right|true|best|answer|most"
    r"|letter|my (?:answer|choice|pick))\b",
    re.IGNORECASE,
)


_COORDINATED = re.compile(
    r"[^\w.!?:;\n]*(?P<joined>and|or|nor|/|&)?[^\w.!?:;\n]*(?:(?:option|choice|answer) )?[^\w.!?:;\n]*", re.IGNORECASE
)
_ALTERNATIVE = re.compile(r"(?:\b(?:and|or)\b|[,/&\n])[\W_]*$", re.IGNORECASE)
_BY_OTHERS = re.compile(
    r"\b(?:many|some|most|people|others|they|commonly|popular\w*|often|traditionally|tempting|common|beliefs?|myth"
    r"|you (?:might|may|could|would))\b[^.!?\n,;]{0,40}$",
    re.IGNORECASE,
)
_BEFORE_LETTER = re.compile(
    r"\b(?:is|be|it|s|and|or|either|both|not|with|options?|answers?|ans|choices?|choose|chose|pick|select|say"
    r"|guess|than|so|that"
    r"|then|but|of|to|letters?|between|for|think|believe|over|correct|therefore|hence|by) $",
    re.IGNORECASE,
)
"""Words before a capital letter that names an option; after others it is part of a name, as in Vitamin C."""
_HEDGE = (
    r"(?:(?:(?:most |very )?(?:probably|likely)|maybe|perhaps|clearly|definitely|certainly|obviously|surely|sure"
    r"|only|just|well"
    r"|hm+|ok(?:ay)?)\W+)*"
)
_SURELY = (
    r"(?:for sure|of course|definitely|probably|obviously|certainly|clearly|hands down|i (?:think|guess|believe"
    r"|suppose|would say)"
    r"|without (?:a )?doubt)"
)
_NOT_BUT = re.compile(
    r"(?:^|(?<=[.!?,;\n]))[^.!?,;\n]{0,200}\bnot [^.!?,;\n]{0,200}, (?=(?:it|they|he|she|you|this) \w)"
    r"|\bnot (?!only\b|just\b)[^.!?,;\n]{0,100}?,? but (?:rather |instead )?"
)
"""It was not invented in France but in Belgium."""
_OPENING = re.compile(r"^\W*(?:(?:if|when) [^,]*, |i (?:think|believe|guess)(?: that)? )", re.IGNORECASE)
_QUESTION = re.compile(r"[^.!?\n]*\?")
_AGAINST_MYTH = re.compile(r"^\W*(?:contrary to|despite) [^,]*, ", re.IGNORECASE)
_CONTINUATIONS = ("because", "since", "as", "so", "and", "but", "if", "when", "unless", "at", "in", "on", "for", "or")
_DENYING = (" not", " never", " than", " instead of", " no", " few")
"""Words before an option's text that deny it."""
_OWN_LABEL = re.compile(r"^\W*a:\s*(?=\W*[a-z]\W*$)", re.IGNORECASE)
_STRANGE = re.compile(r"\W*(?P<letter>[a-z])[).:\]]+\s*(?=\w)", re.IGNORECASE)
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_CARDINALS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
_ORDINAL = re.compile(
    rf"\b(?:the )?(?:(?P<word>{'|'.join(_ORDINALS)}|last|(?P<nth>\d)(?:st|nd|rd|th)) (?:one|option|answer|choice)"
    rf"|(?:option|choice) (?P<cardinal>{'|'.join(_CARDINALS)})\b|(?:option|choice)"
    r" (?:number |no\. |#)?(?P<number>\d))\b",
    re.IGNORECASE,
)
_MYTH = re.compile(
    r"\b(?:myth|superstitio\w+|legend|folklore|misconception|stereotype that|proverb|hoax|rumou?r|often claimed"
    r"|according to the bible|the bible (?:states|says)|(?:wrong|false|untrue|incorrect) that"
    r"|(?:people|some|many|they|others) (?:\w+ )?(?:say|think"
    r"|believe|claim)s?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Mention:
    option: int
    start: int
    end: int
    cued: bool
    """Whether the reply calls it the answer."""


def chosen(text: str, options: Sequence[str], labels: Sequence[str] = ()) -> ParsedAnswer:
    """The option that a reply chooses: the only one whose label or text it states and does not deny.

    A letter counts in every form that occurs in replies (`B`, `b.`, `(b)`, `Answer: B`). The article "a" and the
    pronoun "I" do not count. The text of an option inside another stated one ("Paris" in "Paris, Texas") does not
    count. A list of all options is no choice.

    Args:
        text: the reply.
        options: the texts of the options.
        labels: their labels, if the prompt shows any.
    """
    said = unmarked(own_turn(text))
    corrected = after_correction(said)
    answer = UNREAD if corrected is None else _answer(corrected, options, labels)
    if answer is UNREAD:
        answer = _answer(said, options, labels)
    return DECLINED if answer is UNREAD and is_refusal(text) else answer


def _answer(said: str, options: Sequence[str], labels: Sequence[str]) -> ParsedAnswer:
    judged = judged_list(said, options, labels)
    if judged is not None:
        return ParsedAnswer(judged)
    letters = ["".join(re.findall(r"\w", label)).lower() for label in labels]
    said = _OWN_LABEL.sub("", without_list(said, options, labels))
    said = _without_letters(_ORDINAL.sub(lambda place: _by_letter(place, letters), said), letters)
    named = _named(said, letters, options)
    if named:
        return _lettered(said, named, options)
    return _quoted(_without_strange_letter(said, letters), options)


def _by_letter(place: re.Match[str], letters: Sequence[str]) -> str:
    """The letter of an option that is named by its place; the words themselves if there is no such option."""
    word, number, cardinal = (place["word"] or "").lower(), place["number"] or place["nth"], place["cardinal"]
    if cardinal:
        index = _CARDINALS.index(cardinal.lower())
    else:
        index = int(number) - 1 if number else -1 if word == "last" else _ORDINALS.index(word)
    return f"({letters[index]})" if letters and -1 <= index < len(letters) else place[0]


def _lettered(said: str, named: Sequence[_Mention], options: Sequence[str]) -> ParsedAnswer:
    """The answer of a reply that names options by letter: conflicting if the text after it is another option's."""
    if len({mention.option for mention in named}) > 1:
        first = named[0]
        return ParsedAnswer(first.option) if _begins_with_answer(said, named, options) else CONFLICTING
    last = max(named, key=lambda mention: mention.end)
    after = said[last.end :]
    texts = stated(words(after), options, leading=True) or ([] if last.cued else stated(words(_own(said)), options))
    sentence = words(re.split(r"[.!?](?:\s|$)|\n|;", after.lstrip(" .):-]}\"'\n"))[0])
    if _within(texts, last.option, options) and not contradicts(sentence, options, last.option):
        return ParsedAnswer(last.option)
    return CONFLICTING


def _begins_with_answer(said: str, named: Sequence[_Mention], options: Sequence[str]) -> bool:
    """Whether a reply begins with an option, by letter and text or on a line of its own, and then speaks of others."""
    first, *others = named
    on_its_line = re.match(r"[\W_]*\n", said[first.end :]) is not None or _is_first_sentence(
        said, first.start, first.end
    )
    if re.search(r"\w{2}", said[: first.start]) and not first.cued:
        return False
    return (
        (on_its_line or _has_text(said, first, options))
        and not any(
            other.cued > first.cued or (other.option != first.option and _has_text(said, other, options))
            for other in others
        )
        and _ALTERNATIVE.search(said[: others[0].start]) is None
    )


def _has_text(said: str, mention: _Mention, options: Sequence[str]) -> bool:
    """Whether an option's text follows its letter."""
    return bool(stated(words(said[mention.end :]), [options[mention.option]], leading=True))


def _within(texts: Sequence[int], option: int, options: Sequence[str]) -> bool:
    """Whether the stated options are the named one, or have their text inside its text."""
    own = f" {' '.join(words(options[option]))} "
    return not texts or option in texts or all(f" {' '.join(words(options[text]))} " in own for text in texts)


def _quoted(said: str, options: Sequence[str]) -> ParsedAnswer:
    """The answer of a reply without a letter: the option whose text it states, whole, cut off or abridged."""
    first = lead(said)
    if first is not None and first.says is None:
        return CONFLICTING
    same = [option for option, text in enumerate(options) if words(text) == words(said)]
    if len(same) == 1:
        return ParsedAnswer(same[0])
    held = stated(words(_own(said)), options)
    held = [option for option in held if not _is_extended(words(options[option]), said)]
    held = [option for option in held if not _is_denied(words(options[option]), words(said))]
    if len(held) > 1:
        return CONFLICTING
    hedged = re.sub(rf",? {_SURELY}\W*$", "", said, flags=re.IGNORECASE)
    cut_off = None if re.fullmatch(r"\W*it \w+[.!]\W*", said, re.IGNORECASE) else begun(words(hedged), options)
    parts = [words(part) for part in _sentences(said)]
    meant = [option(part, options) for part in parts for option in (abridged, predicated)]
    for option in (*held, cut_off, *meant):
        if option is not None:
            return ParsedAnswer(option)
    option = plainly(first.says, options) if first is not None and first.says is not None else None
    if option is not None:
        return ParsedAnswer(option)
    corrected = _NOT_BUT.sub("", opened(said))
    return _quoted(corrected, options) if len(corrected) < len(said) else UNREAD


def _sentences(said: str) -> list[str]:
    """The sentences of a reply that are its own, without a condition that repeats the question."""
    parts = [_AGAINST_MYTH.sub("", part) for part in re.split(r"[.!?;](?:\s|$)|\n", _QUESTION.sub("", said))]
    return [_OPENING.sub("", part) for part in parts if not _MYTH.search(part)]


def _is_extended(text: Sequence[str], said: str) -> bool:
    """Whether a denial goes on in the reply: "Hair does not grow back thicker" is not that it does not grow back."""
    place = re.search(r"\W+".join(map(re.escape, text)) + r" (?P<next>\w+)", opened(said))
    return place is not None and denies(text) and place["next"] not in _CONTINUATIONS


def _is_denied(text: Sequence[str], said: Sequence[str]) -> bool:
    """Whether every statement of a text in a reply is denied: not Paris but Lyon."""
    starts = [place for place in range(len(said) - len(text) + 1) if said[place : place + len(text)] == text]
    return bool(starts) and all(f" {' '.join(said[:place])}".endswith(_DENYING) for place in starts)


def _without_letters(said: str, letters: Sequence[str]) -> str:
    """The reply without a range of letters, (a) to (d), or, if something else remains, a list of all letters."""
    if len(letters) < 3 or not all(letters):
        return said
    bracketed = [rf"[(\[]?\b{re.escape(letter)}\b[)\]]?" for letter in letters]
    said = re.sub(rf"{bracketed[0]}\s*(?:to|through|-|\u2013)\s*{bracketed[-1]}", "", said, flags=re.IGNORECASE)
    rest = re.sub(r"[\s,;/]*(?:and|or)?\s*".join(bracketed), "", said, flags=re.IGNORECASE)
    return rest if re.search(rf"\b(?:{'|'.join(map(re.escape, letters))})\b", rest, re.IGNORECASE) else said


def _without_strange_letter(said: str, letters: Sequence[str]) -> str:
    """The reply without a leading letter that no option has: "(f) It melts." among four options."""
    strange = _STRANGE.match(said)
    return said[strange.end() :] if strange and strange["letter"].lower() not in letters else said


def _named(said: str, letters: Sequence[str], options: Sequence[str]) -> list[_Mention]:
    """The options that are named by label and not denied. If the reply calls some its answer, only those."""
    everything = _mentions(said, letters)
    mentions = [
        mention for mention, denied in zip(everything, _denied(said, everything, options), strict=True) if not denied
    ]
    own = [mention for mention in mentions if _BY_OTHERS.search(said[: mention.start]) is None]
    # What is coordinated with the answer is called the answer too: it could be (a), (b) or (c).
    lists = [group for group, conjoined in _coordinated(said, own) if conjoined and any(one.cued for one in group)]
    answers = [mention for mention in own if mention.cued or any(mention in group for group in lists)]
    return answers or own or mentions


def _coordinated(said: str, mentions: Sequence[_Mention]) -> list[tuple[list[_Mention], bool]]:
    """Lists of letters, and whether a conjunction joins them."""
    groups: list[tuple[list[_Mention], bool]] = []
    for mention in mentions:
        between = _COORDINATED.fullmatch(said[groups[-1][0][-1].end : mention.start]) if groups else None
        if between is None:
            groups.append(([mention], False))
        else:
            group, conjoined = groups[-1]
            groups[-1] = ([*group, mention], conjoined or between["joined"] is not None)
    return groups


def _denied(said: str, mentions: Sequence[_Mention], options: Sequence[str]) -> list[bool]:
    """Whether each mention is denied, alone or with those that it is listed with: (b), (c) and (d) are myths."""
    listed = [
        _COORDINATED.fullmatch(said[first.end : second.start]) is not None for first, second in pairwise(mentions)
    ]
    before = [_NOT_BEFORE.search(said[: mention.start]) is not None for mention in mentions]
    after = [
        _NOT_AFTER.match(said[mention.end :]) is not None and not _has_text(said, mention, options)
        for mention in mentions
    ]
    # Not a, b or c; but of "Not a, b." the second is the answer.
    pairs = [group[1] for group, conjoined in _coordinated(said, mentions) if len(group) == 2 and not conjoined]
    for place, together in enumerate(listed):
        before[place + 1] |= together and before[place] and mentions[place + 1] not in pairs
    for place in range(len(listed) - 1, -1, -1):
        after[place] |= listed[place] and after[place + 1]
    return [any(pair) for pair in zip(before, after, strict=True)]


def _mentions(said: str, letters: Sequence[str]) -> list[_Mention]:
    known = {letter: option for option, letter in enumerate(letters) if letter}
    if not known:
        return []
    letter = "(?:" + "|".join(sorted(map(re.escape, known), key=len, reverse=True)) + ")"
    marks = r"[\s\"'(\[{]*"
    forms = [
        # The whole reply, or a line of its own.
        rf"(?:^|\n)\W*{_HEDGE}(?:answer\W+|a:\W*)?(?P<whole>{letter})(?:\W+(?P=whole))*(?:\W+{_SURELY})?\W*(?=\n|$)",
        # (b), [b], "b", b), and b. or b: before more text.
        rf"(?P<bracket>[(\[{{]\s*{letter}\s*[)\]}}])(?!\w)",
        rf"(?<!\w)\"(?P<quoted>{letter})\.?\"",
        rf"(?:^|\n)[\s\"'(\[]*(?P<leading>{letter})(?!:[^\n]*\?\W*$)(?:[).:,;/]|\s[-=\u2013\u2014](?=\s)|(?=\s(?:since"
        rf"|because)\b))(?!\w)",
        # The answer is b.
        rf"{_CUE}{marks}(?P<cued>{letter})(?![\w'])(?! (?:[a-z]|\d))",
        rf"{_CUE}{marks}(?P<reasoned>{letter})(?![\w'])(?= (?:because|since|as|not|rather|instead|and|or)\b)",
        # b is correct; either b or c; b, not a.
        rf"(?<![\w'])(?P<judged>{letter})(?![\w'])(?={_RIGHT.pattern})",
        rf"(?<![\w'])(?:either |both |option |options )?(?P<first>{letter})\s*(?:,|/|&|and|or|\bnot\b)+\s*(?:not "
        rf"|option )?(?P<second>{letter})(?![\w'])",
        # It melts, so c. But not: a cold place, a
        rf",\s*(?:so\s+(?P<so>{letter})|(?!a\b)(?P<trailing>{letter}))\W*$",
        rf"(?P<dotted>\b(?:not|but) {marks}{letter})(?![\w'])(?=\W*(?:$|[.,;!]))",
    ]
    mentions: dict[tuple[int, int], _Mention] = {}
    for form in forms:
        for match in re.finditer(form, said, re.IGNORECASE):
            for name, value in match.groupdict().items():
                if value is None:
                    continue
                if name == "judged" and _is_named_thing(said[: match.start(name)]):
                    continue
                core = re.findall(letter, value, re.IGNORECASE)[-1]
                start = match.start(name) + value.lower().rindex(core.lower())
                end = match.end(name)
                cued = name in ("cued", "reasoned", "judged") or _is_cued(said[:start])
                cued |= _is_first_sentence(said, start, end)
                key = (start, start + len(core))
                earlier = mentions.get(key)
                if earlier is None or cued:
                    mentions[key] = _Mention(known[core.lower()], start, end, cued)
    for match in re.finditer(r"(?<![\w'])[B-HJ-Z](?![\w'])(?!\? \w)", said):
        key = (match.start(), match.end())
        if match[0].lower() in known and key not in mentions and not _is_named_thing(said[: match.start()]):
            mentions[key] = _Mention(known[match[0].lower()], *key, False)
    return sorted(mentions.values(), key=lambda mention: mention.start)


def _is_named_thing(before: str) -> bool:
    """Whether the word before a letter makes it part of a name: Vitamin C, appendix D."""
    return re.search(r"\w $", before) is not None and _BEFORE_LETTER.search(before) is None


def _is_first_sentence(said: str, start: int, end: int) -> bool:
    """Whether a letter in brackets is the whole first sentence of a reply: (b). Option (c) is arguable."""
    return re.search(r"\w", said[:start]) is None and re.match(r"[)\]]?\.\s", said[end:]) is not None and start > 0


def _is_cued(before: str) -> bool:
    return re.search(rf"(?:{_CUE})[\W_]*$", before, re.IGNORECASE) is not None


def _own(said: str) -> str:
    """The reply without statements that it calls a myth or the belief of others."""
    parts = [_AGAINST_MYTH.sub("", part) for part in re.split(r"[.!?;\n]|\bbut\b", said)]
    return ". ".join(part for part in parts if not _MYTH.search(part))
