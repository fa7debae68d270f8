"""Analysis of the clauses of a sentence: negation, doubt, other people's opinions, conditions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from trustdag.verticals.parsers.text import opened, unmarked, without_pictures

Voice = Literal["own", "other", "open"]

_SENTENCE = re.compile(r"[^.!?;\n]+(?:[.!?;]+|\n|$)")
_LINKS = (
    r"but|because|although|though|even though|while|whereas|unless|since|so|however|nevertheless|still|yet|therefore"
    r"|overall|as long as|only if|even if|just because|which|when"
)
_ASKS = ("know", "sure", "unsure", "say", "tell", "judge", "decide", "determine", "answer", "clear", "unclear",
         "see", "ask", "asked", "wonder", "certain", "doubt", "on", "of", "about", "as", "assess", "evaluate", "matter",
         "even", "only")  # fmt: skip
_IF = "".join(f"(?<!\\b{verb} )" for verb in _ASKS) + r"\bif\b"
"""An `if` that starts a condition and not an indirect question, as in "I do not know if ..."."""
_BREAK = re.compile(
    rf"[,:()\[\]]+|\s-+\s|[\u2013\u2014]|\b(?:{_LINKS})\b"
    r"|\b(?:and|or)\b(?= (?:also |therefore |thus |hence |so )?(?:i|we|it|this|that|they|he|she|there|you)\b)"
    rf"|{_IF}|\band(?= if\b)"
)
SUBORDINATE = {
    "because", "although", "though", "even though", "while", "whereas", "unless", "since", "when", "as long as",
    "only if", "even if", "just because", "if", "which",
}  # fmt: skip
CONDITIONS = {"if", "unless", "only if", "as long as", "when"}
ASKED = re.compile(
    r"i (?:had to|have to|must|am (?:being )?(?:honest|asked|forced)|were asked)\b|you ask|asked|pressed|forced"
)
"""A condition that is none, after `if`."""
TURNING = {"but", "however", "nevertheless", "still", "yet", "overall", "therefore"}
_ASIDE = re.compile(
    r", ?(?:under|in|of|by|to|at|for|with|on|as|however|frankly|honestly|personally|therefore|thus|unfortunately"
    r"|sadly"
    r"|though|indeed|actually|also|i think|i believe|i am afraid|i must say)(?: [\w' ]{1,40}?)?,(?= ?(?:agree"
    r"|disagree|think|believe|wrong|be)\b)"
)
_IDIOMS = tuple(
    (re.compile(pattern), plain)
    for pattern, plain in (
        (
            r"\b(?:could|can) (?:not|hardly|scarcely) (?:possibly )?(dis)?agree(?: with \w+(?: \w+)?)? more\b",
            r"\1agree",
        ),
        (r"\b(?:could|can) (?:not|hardly) be (?:any )?(?:more wrong|wronger)\b", "is wrong"),
        (r"\b(?:could|can) not be (?:any )?more (right|correct|accurate|true)\b", r"is \1"),
        (r"\b(?:can|could) not (?:help but|but|help)\b", ""),
        (r"\b(?:can|could) not (?:possibly )?(?:argue (?:with|against)|deny)\b", "agree with"),
        (r"\bagree to (?:differ|disagree)\b", "disagree"),
        (
            r"\b(?:there is )?(?:no|without(?: a| any)?) (?:doubt|question)(?: (?:about|of) (?:it|that"
            r"|this))?\b(?=\W*\w)",
            "",
        ),
        (
            r"\bno wonder\b|\bno problem\b(?! (?:with|here))|\bno worries\b|\bnot only\b|\bnot just\b"
            r"|\bnot to mention\b",
            "",
        ),
        (
            r"\bi am (?:afraid|(?:sorry|sad|glad|happy) to say) (?:that )?(?=(?:it|this|that|he|she|they|the|yes"
            r"|no)\b)",
            "",
        ),
        (r"\bno one\b", "nobody"),
        (r"\bnot (?:so|all that|terribly) (?=(?:wrong|bad|right|good|fair|true)\b)", "not "),
        (r"\bby no (?:stretch|means) (?=\w)", "not "),
        (r"\b(?:every|any)(?:one|body) (?:would|should|must|can|will) (?:agree|say|admit|see) that\b", ""),
        (
            r"\bdo not (?:think|believe) (?:that )?(?:any(?:one|body)) (?=(?:can|could|would"
            r"|should)\b)",
            "think nobody ",
        ),
        (r"\bneither (?!(?:dis)?agree|right|wrong)(\w+(?: \w+){0,2}?) nor\b", r"not \1 or"),
        (r"\bin (?:all |any |good |clear |full |complete |total )+(?:conscience|faith|honesty|sincerity)\b,? ?", ""),
        (r"\brather than\b", ", not"),
        (r"\banything (?:but|other than|except) (?=\w)", "far from "),
        (
            r"\b(everyone|everybody|nobody|people|those|friends?|most|all) (?:(?:who|that|whom) )?(?:i|we)"
            r" (?:know|have met|met|meet|asked|talk to|work with)\b",
            r"\1",
        ),
        (r"\bhard (?=(?:dis)?agree\b)", "strongly "),
        (r"\bi would be lying if i said (?:that )?i\b", "i do not"),
        (r"\b(?:do not|can not|fail to) see (?:how|why|that)\b", "do not think that"),
        (r"\bwhether or not\b", "whether"),
        (r"\bbeg to differ\b", "disagree"),
        (r"\bnot (?:so |that |too |very |entirely |quite )?(?:sure|certain)\b", "unsure"),
        (r"\b(?:i )?have (?:no|not any) (?:idea|clue)\b", "i am unsure"),
    )
)
_ATTRIBUTED = re.compile(
    r"\"[^\"\n]{0,300}[,.!?]\"\s*(?:\w+ ){0,3}?(?:said|says|replied|replies|answered|asked|added|told|snapped|shouted"
    r"|whispered)\b"
)
"""Somebody's speech: "I disagree," said the woman."""
_NEGATOR = re.compile(
    r"\b(?:not|never|no|nobody|nothing|none|neither|nor|rarely|seldom|hardly|barely|scarcely|without|refuse[sd]?"
    r"|declined?|unable"
    r"|unwilling|reluctant|hesitant|hesitate|hesitated|fail(?:s|ed)? to|hard|difficult|impossible|struggle|far from"
    r"|anything but|doubts?|doubtful|deny|denies|unlikely|hate to|few|little reason|disagrees?)\b"
)
_ATTITUDE = (
    r"think|thinks|thought|believe|believes|say|says|said|saying|feel|feels|find|finds|see|sees|guess|suppose|suspect"
    r"|doubt|doubts|doubtful|deny|denies|consider|reckon|know|knows|claim|claims|argue|argues|sure|unsure|certain"
    r"|convinced|clear|unclear|mean|means|agree|disagree|disagrees|admit|tell|judge|determine|decide|answer"
    r"|assess|evaluate|depends"
    r"|opinion"
    r"|view|insist|assume|imply|implies|suggest|suggests|reason|way|confident"
)
_FRAME = re.compile(
    rf"\b(?:(?P<verb>{_ATTITUDE})\b(?: (?:on|of|about|to say|for me|myself|so|you|me|us))?(?: (?P<link>that|if"
    rf"|whether|how|why))?"
    r"|(?P<bare>that|if|whether|how|why|what|who)(?= \w))\b"
)
_UNSURE = re.compile(
    r"\b(?:unsure|unclear|uncertain|undecided|depends|wonder)\b|\bnot (?:\w+ ){0,3}?(?:know|clear)\b"
    r"|\b(?:can|could|able|unable|position|qualified|possible|impossible|hard|difficult|place|for me|equipped"
    r"|capable)\b"
    r".*\b(?:say|tell|judge|determine|decide|answer|assess|evaluate|know|see)\b"
    r"|\b(?:never said|did not say)\b"
    r"|\b(?:not|decline|refuse|unwilling|going|will) (?:\w+ ){0,3}?(?:judge|determine|decide|assess|evaluate|tell)\b"
)
_INABILITY = re.compile(r"\b(?:not|unable|impossible|hard|difficult|never|hardly)\b")
_OTHERS = re.compile(
    r"\b(?:people|some|many|most|others|they|he|she|you|one|everyone|everybody|anyone|anybody|someone|somebody|those"
    r"|who|experts?|society|critics|friends?|neighbou?rs?|mother|father|folks|lots|plenty|few|the (?:law|bible"
    r"|statement"
    r"|text|author|speaker|public)|scientists|researchers|religions?|cultures?)\b"
)
_OWN = re.compile(r"\b(?:i|we|me|my|myself)\b")


@dataclass(frozen=True)
class Clause:
    """One clause of a reply, in lower case and without contractions."""

    words: str
    link: str
    """The conjunction at its start; empty for none."""
    sentence: int
    """Index of its sentence."""
    question: bool


@dataclass(frozen=True)
class Claim:
    """How the words before a predicate modify it."""

    holds: bool
    """False if the predicate is denied."""
    voice: Voice
    """`own`: the reply's own claim; `other`: somebody else's opinion; `open`: a condition, a question, or unknown."""
    subject: str
    """The words of the predicate's own frame: its subject and auxiliaries."""


@dataclass(frozen=True)
class Echo:
    """Patterns of a prompt's question and instruction, which are no verdict if a reply repeats them."""

    question: re.Pattern[str]
    """Found in a sentence that ends with a question mark."""
    words: re.Pattern[str]
    """The instruction."""
    sentence: re.Pattern[str] | None = None
    """Found in a sentence of any kind."""

    def parts(self, said: str) -> Iterator[str]:
        """The parts of a simplified text before, between and after its repetitions of the prompt."""
        for piece in self.words.split(said):
            part = ""
            for sentence in re.findall(r"[^.!?\n]*(?:[.!?]+|\n|$)", piece):
                if self._repeats(sentence):
                    yield part
                    part = ""
                else:
                    part += sentence
            yield part

    def _repeats(self, sentence: str) -> bool:
        if sentence.endswith("?") and self.question.search(sentence):
            return True
        return self.sentence is not None and self.sentence.search(sentence) is not None


def simplified(text: str) -> str:
    """The text in lower case, with contractions expanded and idioms replaced by their meaning."""
    said = re.sub(r"[^\S\n]+", " ", opened(unmarked(without_pictures(text))).replace("\u2026", ". "))
    said = _ASIDE.sub(" ", _ATTRIBUTED.sub(" ", said))
    for pattern, plain in _IDIOMS:
        said = pattern.sub(plain, said)
    return re.sub(r"[^\S\n]+", " ", said).strip()


def clauses(text: str) -> Iterator[Clause]:
    """The clauses of a simplified text, in order."""
    for number, match in enumerate(_SENTENCE.finditer(text)):
        sentence = match[0].replace('"', " ")
        question = sentence.rstrip().endswith("?")
        link, start = "", 0
        for mark in [*_BREAK.finditer(sentence), None]:
            words = sentence[start : mark.start() if mark else len(sentence)].strip(" .!?;'\n")
            if words:
                yield Clause(re.sub(r"\s+", " ", words), link, number, question)
                link = ""
            if mark:
                link = mark[0].strip(" ,:()[]-") or link
                start = mark.end()


def claim(before: str, link: str = "") -> Claim:
    """How the words from the start of a clause to a predicate modify the predicate.

    The words are cut into frames at verbs of thinking and saying and at that, if and whether: "I do not think | that
    the writer is in the | wrong". Each frame may deny what follows, leave it open, or attribute it to somebody else.
    """
    holds, voice, start = True, "open" if link in CONDITIONS else "own", 0
    for mark in _FRAME.finditer(before):
        frame = before[start : mark.end()]
        if (mark["link"] or mark["bare"]) in ("if", "whether", "how") or _unsure(frame):
            voice = "open"
        elif voice == "own" and is_others(before[start : mark.start()]):
            voice = "other"
        holds ^= len(_NEGATOR.findall(frame)) % 2 == 1
        start = mark.end()
    subject = before[start:].strip()
    holds ^= len(_NEGATOR.findall(subject)) % 2 == 1
    return Claim(holds, voice, subject)  # type: ignore[arg-type]


def _unsure(frame: str) -> bool:
    unsure = _UNSURE.search(frame)
    return unsure is not None and (
        _INABILITY.search(frame) is not None or unsure[0] in ("unsure", "unclear", "uncertain", "undecided", "depends")
    )


def is_others(frame: str) -> bool:
    """Whether the last subject in a frame is somebody else."""
    others, own = list(_OTHERS.finditer(frame)), list(_OWN.finditer(frame))
    return bool(others) and (not own or others[-1].start() > own[-1].start() or own[-1][0] == "my")
