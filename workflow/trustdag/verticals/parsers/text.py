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
        (r"\blet's\b", "let us"),
        (r"\b(it|that|this|there|he|she|what|who|here|where|nothing|everything|statement)'s\b", r"\1 is"),
        (r"(?<=\w)'re\b", " are"),
        (r"(?<=\w)'ve\b", " have"),
        (r"(?<=\w)'ll\b", " will"),
        (r"(?<=\w)'d\b", " would"),
        (r"\bgonna\b", "going to"),
    )
)
_MARKDOWN = re.compile(
    r"[*~]+|(?<!\w)_+|_+(?!\w)|(?m:^[ \t]*(?:[#>]+|[-+](?=\s))[ \t]*)|\\boxed|\\text"
    r"|</?(?:answer|final|response|em|strong|br)\s*/?>",
    re.IGNORECASE,
)


def straight(text: str) -> str:
    """The text with normalized letters (NFKC), quotes and apostrophes, without zero-width characters."""
    spelt = unicodedata.normalize("NFKC", text.translate(_SPELLINGS)).translate(_SPELLINGS)
    return re.sub(r"[^\S\n]+", " ", spelt.replace("\r\n", "\n").replace("\r", "\n"))


def unmarked(text: str) -> str:
    """The text without markdown."""
    return re.sub(r"[^\S\n]+", " ", _MARKDOWN.sub("", text)).strip()


def opened(text: str) -> str:
    """The text in lower case with contractions expanded: "I can't" becomes "i can not"."""
    said = text.lower()
    for pattern, whole in _CONTRACTIONS:
        said = pattern.sub(whole, said)
    return said
