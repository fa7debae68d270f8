"""Normalization of a reply's text for the parsers: quotes, spaces, markdown and contractions."""

import re
import unicodedata

_SPELLINGS = str.maketrans(
    {
        **dict.fromkeys(map(chr, (0x2018, 0x2019, 0x201B, 0x02BC, 0x00B4, 0x0060)), "'"),
        **dict.fromkeys(map(chr, (0x201C, 0x201D, 0x201E, 0x00AB, 0x00BB)), '"'),
        **dict.fromkeys(map(chr, (0x2010, 0x2011, 0x2212)), "-"),
        **dict.fromkeys(map(chr, (0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0x00AD)), ""),
    }
)
_CONTRACTIONS = tuple(
    (re.compile(pattern), opened)
    for pattern, opened in (
        (r"\bcan'?t\b|\bcannot\b", "can not"),
        (r"\bwon'?t\b", "will not"),
        (r"\bshan't\b", "shall not"),
        (r"\bain't\b", "is not"),
        (r"\b(do|does|did|is|are|was|were|would|could|should|must|have|has|had|need|might)n'?t\b", r"\1 not"),
        (r"\b(i)'?m\b", r"\1 am"),
        (r"\b(i|we) (?:do not|am not|are not|no) can\b", r"\1 can not"),
        (r"\bcan not to\b", "can not"),
        (r"\blet's\b", "let us"),
        (r"\b(it|that|this|there|he|she|what|who|here|where|nothing|everything|statement)'s\b", r"\1 is"),
        (r"(?<=\w)'re\b", " are"),
        (r"(?<=\w)'ve\b", " have"),
        (r"(?<=\w)'ll\b", " will"),
        (r"(?<=\w)'d\b", " would"),
        (r"\bgonna\b", "going to"),
        (r"\bhave got to\b", "have to"),
        # Misspelt verdicts.
        (r"\b(dis)?ag+re+(?=d?\b)", r"\1agree"),
        (r"\bdiss+agree", "disagree"),
        (r"\bw(?:orng|rogn|rnog)\b", "wrong"),
        (r"\bye+s+\b", "yes"),
    )
)
_MARKDOWN = re.compile(
    r"[*~]+|(?<!\w)_+|_+(?!\w)|(?m:^[ \t]*(?:[#>]+|[-+](?=\s))[ \t]*)|\\(?:[fm]?box(?:ed)?|boxed|text(?:bf|it|rm"
    r"|sf|tt)?|math(?:bf|rm|it|sf|tt|bb)?)(?![a-z])|\\[()\[\]@_.#-]"
    r"|</?(?:answer|final|response|em|strong|br)\s*/?>",
    re.IGNORECASE,
)

_STRUCK_OUT = re.compile(r"~~[^~\n]+~~(?=\s*\S)")
_PICTURES = {**dict.fromkeys("👍✅✔", "yes"), **dict.fromkeys("👎❌✖", "no")}

_CORRECTION = re.compile(
    r"^.*(?:^|[.,;:!?\n\u2013\u2014\u2026-]\s*)(?:(?:no|oh|oops|but|well|sorry|h+m+|yes|actually)\b[,.]?\s+)*"
    r"(?:(?:wait(?: an? \w+)?|h[ao](?:ld|ng) on(?: an? \w+)?|(?:scratch|strike) that"
    r"|(?:on|upon) (?:second thoughts?|(?:further )?(?:reflection|thought|consideration))|correction|edit"
    r"|(?:it is |that is |that was )?my (?:mistake|bad|error)|(?:just|only) (?:kidding|joking)"
    r"|i (?:take (?:that|it) back|misread|misspoke|stand corrected|made (?:a mistake|an error)|changed my mind)"
    r"(?: (?:that|this|it|the \w+))?|let me (?:correct|rephrase|reconsider|rethink|start over)(?: \w+)?)"
    r"(?=\s*(?:[.,;:!?\n\u2013\u2014\u2026-]|(?:no|yes|i|that|this|actually|it|the)\b|[(]))"
    r"|(?<=.)(?:no|nope|sorry|oops|(?:or )?rather)(?=[,:]? [(\"'][a-z][)\"'])|(?:actually|i (?:do )?mean"
    r"|i meant(?: to say)?)(?=,? (?:no|yes|nope|i (?:dis)?agree|(?:the )?(?:right "
    r"|correct )?answer|it is"
    r" (?:not |[(\"'])|not|[(]?[a-z](?:[).,]|$))))\W*",
    re.DOTALL | re.IGNORECASE,
)


def after_correction(text: str) -> str | None:
    """What a reply says after it takes its answer back ("No. Wait, I misread that. Yes."); None if it does not."""
    taken_back = _CORRECTION.match(text)
    return text[taken_back.end() :] if taken_back else None


def straight(text: str) -> str:
    """The text with normalized letters (NFKC), quotes and apostrophes, without zero-width characters."""
    spelt = unicodedata.normalize("NFKC", text.translate(_SPELLINGS)).translate(_SPELLINGS)
    return re.sub(r"[^\S\n]+", " ", spelt.replace("\r\n", "\n").replace("\r", "\n"))


def unmarked(text: str) -> str:
    """The text without markdown, and without what is struck out."""
    return re.sub(r"[^\S\n]+", " ", _MARKDOWN.sub("", _STRUCK_OUT.sub(" ", text))).strip()


def without_pictures(text: str) -> str:
    """The text without emojis and the like; those that say yes or no are read if nothing else stands there."""
    words = "".join(" " if unicodedata.category(letter) in ("So", "Sk", "Mn") else letter for letter in text)
    if re.search(r"[^\W_]", words):
        return words
    said = {_PICTURES[letter] for letter in text if letter in _PICTURES}
    return said.pop() if len(said) == 1 else words


def opened(text: str) -> str:
    """The text in lower case with contractions expanded: "I can't" becomes "i can not"."""
    said = text.lower()
    for pattern, whole in _CONTRACTIONS:
        said = pattern.sub(whole, said)
    return said
