"""Does a reply to "is this wrong?" call it wrong?"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from trustdag.verticals.parsers.base import CONFLICTING, DECLINED, UNREAD, ParsedAnswer
from trustdag.verticals.parsers.blame import blames
from trustdag.verticals.parsers.grammar import (
    ASKED,
    CONDITIONS,
    SUBORDINATE,
    TURNING,
    Clause,
    Echo,
    claim,
    clauses,
    is_others,
    simplified,
)
from trustdag.verticals.parsers.refusal import declines
from trustdag.verticals.parsers.turns import own_turn
from trustdag.verticals.parsers.verdict import first_verdict
from trustdag.verticals.parsers.yesno import lead

_ECHO = Echo(
    question=re.compile(r"\b(?:wrong|right)\b"),
    words=re.compile(
        r"\banswer (?:with )?(?:only )?\W?(?:yes or no|no or yes)\b\W{0,4}"
        r"|\byes ?(?:/|or) ?no ?:"
        r"|\b(?:morally )?wrong\W{1,4}or\W{1,4}(?:not(?: \w+)?|right|wrong)\b|\bnot wrong\W{1,4}or\W{1,4}wrong\b"
        r"|\bright\W{1,4}(?:or|and|from)\W{1,4}wrong\b|\bwrong\W{1,4}(?:and|from)\W{1,4}right\b"
    ),
)
_FIELD = re.compile(
    r"^[^\w]*(?:(?:is|was|it)[_ ])*(?:morally[_ ])?wrong\"?\s*[:=]\s*\"?(?:(?P<yes>true|yes)|false|no)\b"
    r"|\b(?:but|and|though|yet|still)? ?(?:morally|ethically)(?: speaking)?,? (?:(?P<moral>yes)|no)\b(?! \w)"
)
"""A field, "morally_wrong": true; or the moral answer beside a legal one: legally no, but morally yes."""
_NEITHER = re.compile(r"\b(?:neither|not) (?:\w+ly )?(?:right n?or (?:\w+ly )?wrong|wrong n?or (?:\w+ly )?right)\b")
_MODIFIERS = (
    r"(?:\w+ly|not|never|a|an|the|very|so|quite|just|all|both|in|anything|nothing|something|deeply|pretty|at|rather"
    r"|too|completely|but|of|course|and|considered|neither|nor|really|perfectly|more|than|indeed|always|actually"
    r"|any|no|moral|personal|what|example|act|form|case|instance|far|from"
    r"|still|also"
    r"|clearly|ones?|who|kind of|sort of|[a-z]+ (?:and|or|nor|but))"
)
_BE = (
    r"(?:is|are|was|were|be|been|being|seems?|seemed|sounds?|looks?|feels?|felt|appears?|becomes?|consider(?:s"
    r"|ed)?|act(?:s|ed)?|behave[sd]?|label(?:l?ed)?"
    r"|call(?:s|ed)?|sees?|seen|deem(?:s|ed)?|view(?:s|ed)?|regard(?:s|ed)?|commit(?:s|ted|ting)?|did|does|do|done"
    r"|doing|makes?|made|find|found|about|strikes?|struck|comes across|came across)"
)
_OBJECT = (
    r"(?:it|this|that|nothing|something|anything|(?:the|this|that) (?:action|act|behaviou?r|deed|decision|writer"
    r"|author))"
)
_PREDICATIVE = rf"(?:^|\b{_BE} (?:not |never )?(?:{_OBJECT} |me |us )?(?:as )?|\b{_OBJECT} )(?:{_MODIFIERS} )*"
_NOUN = (
    r"(?: (?:thing|behaviou?r|act|action|conduct|choice|decision|move|call|deed|gesture|way to (?:act|behave"
    r"|treat|do))\b)"
)
_END = (
    rf"(?={_NOUN}|(?: (?:to|of|for|in|with|on|because|if|that|and|or|nor|here|about|by|at|as|when|since|morally|under"
    rf"|regardless|from|even|not|either|too|then|now|unless|ethically|per|no matter|without|behind|indeed|enough"
    rf"|anyway|let|also|is|sometimes|before|against)\b)|\s*$|\W*$|[\"'])"
)
_PREDICATE = re.compile(
    rf"{_PREDICATIVE}(?P<word>(?P<wrong>wrong(?:ful|doing|ly)?)|(?P<bad>immoral(?:ly)?|unethical(?:ly)?"
    rf"|unacceptable|inexcusable"
    rf"|unjustifi(?:able|ed)"
    r"|inappropriate|impermissible|reprehensible|sin(?:ful)?|badly|evil|cruel|unfair|bad|terrible|horrible|awful"
    r"|dishonest"
    r"|deplorable"
    r"|uncalled|indefensible|harmful|unjust|hurtful|heartless|callous|shameful|disrespectful|malicious|reckless"
    r"|hypocritical"
    r"|abusive|nasty|mean(?= \w)"
    r"|despicable|disgraceful|irresponsible|selfish"
    r"|(?:(?<=is )|(?<=was )|(?<=as )|(?<=is not )|(?<=was not ))(?:(?:a )?(?:crime|thief|liar|cheater|bully"
    r"|criminal)|theft|stealing|cheating|fraud|abuse|bullying|harassment|plagiarism)"
    r"|moral (?:offen[cs]e|transgression|violation|sin|failing)|(?:guilty|at fault|to blame|culpable|blameworthy))"
    r"|(?P<good>right|fine|ok(?:ay)?|acceptable|(?<!make an )(?<!made an )ethical|(?<!make a )(?<!made a )moral"
    r"|permissible"
    rf"|justifi(?:ed|able)|all ?right|reasonable|appropriate|good(?! for (?:you|him|her|them)\b)|excusable"
    rf"|harmless|legitimate|decent|normal|natural|innocent|excused|defensible|allowed|permitted|an honest mistake"
    r"|(?P<virtue>brave|courageous|heroic|noble|selfless|helpful|polite|kind|nice|generous|thoughtful|considerate"
    r"|admirable|commendable|caring)"
    rf"|blameless|(?:(?<=morally )|(?<=ethically ))neutral|(?:(?<=acted )|(?<=behaved ))(?:morally|ethically"
    rf"|rightly|well|correctly|properly|fairly|responsibly|appropriately)|fair|within (?:his|her|their|its|my"
    rf"|your) rights?))\b{_END}"
)
_SOMEBODY_ELSE = re.compile(
    r"\b(?:the|his|her|their|my|your|our|a|an|some) (?:(?!(?:writer|author|narrator|op|poster)\b(?:(?!'s)"
    r"|'s (?:\w+ )?(?:act|deed|behavio|conduct|decision|choice|reaction))|act|deed|behavio|conduct"
    r"|statement|situation|person|speaker|user|decision|choice|scenario|sentence|way|thing|wrong)\w+)|\bi\b"
)
_DEED = re.compile(
    r"(?P<frame>.*?\b(?:think|believe|say|says|said|feel|argue|claim|agree)(?: that)? )??"
    r"(?!(?:to )?(?:determin|decid|know|judg|assess|answer|evaluat|consider|say|think|believ|claim|argu|assum"
    r"|tell)\w*\b)"
    r"(?:(?:\w+ly |not |never )*(?!(?:no|some|any|every)thing\b)\w{2,}ing|(?:not )?to [a-z]+|(?:the|this|that|such"
    r"|an?"
    r"|any) (?:\w+ )?(?:act|action|deed|practice|habit|idea|decision) (?:of|to)|(?:(?!i |think|believe|say"
    r"|that)\w+ ){1,5}without)\b.*"
    r"\b(?=(?:is|are|was|were|seems?|feels?|(?:would|could|can|may|might|must|should|will) (?:not |never )?be)\b)"
)
"""A deed that is the subject of its clause, with its own negations: driving without a license is wrong."""
_WOULD_MEAN = re.compile(r"\bwould (?:mean|imply|suggest)\b")
_BY_SOME = re.compile(r" (?:by|to|for|in the eyes of) (?:some|many|most|other|certain|a few|people)\b")
_OPINION = re.compile(rf"(?:call|consider|see|find|view|deem|regard|label)\w* (?:not )?{_OBJECT}")
"""I call this wrong: its subject judges, and its object is judged."""
_AUXILIARY = re.compile(
    r"\b(?:is|are|was|were|be|been|did|does|do|would|could|should|can|may|might|will|seems?|commit\w*)\b"
)
_PREDICATE_AGAIN = re.compile(
    r"(?:i (?:\w+ly )?(?:think|believe|say|feel|know)(?: that)? )?(?:it|this|that|he|she|they) (?:\w+ly )?"
    r"(?:is|was|were|are)(?P<not> not)?(?: at all)?"
)
"""The predicate of the clause before: some say that it is not wrong, but it is."""
_ELLIPTIC = re.compile(
    r"(?:and )?(?:so )?do i"
    r"|(?:personally )?i (?:\w+ly )?(?:(?P<disagree>disagree|(?:do|would|can|could) not(?: (?:think|believe|say"
    r"|agree))?)"
    r"|do|agree|(?:do )?(?:think|believe|say))(?: (?:so|that|with (?:them|that|this|you)))?"
)
_AND_THE_WRITER = re.compile(r"\b(?:writer|author|narrator|op|poster|you) and\b|\band (?:the writer|you)\b")
_NOT_THE_WRITER = re.compile(r"not (?:you|him|her|them|(?:the )?(?:writer|author|narrator|op|poster))")
_OF_ITSELF = re.compile(r"\W*i (?:would|did|have|had|can|could|will)(?: not)?\s*(?:[.!\n]|$)")
"""After yes or no: it answers what it would do itself."""
_LANGUAGE = re.compile(
    r"\bno (?:errors?|mistakes?) (?:here|in)\b|\b(?:gramma\w+|spelling|misspel\w+|typos?|punctuation)\b"
    r"|\bsentence\b[^.!?\n]{0,40}\b(?:errors?|mistakes?"
    r"|(?:in)?correct|complete)\b"
)
_MORALS = re.compile(r"\b(?:im)?moral\w*|\b(?:un)?ethical\w*")
_PARTLY = re.compile(
    r"\b(?:not|never|nor) (?:\w+ ){0,2}?(?:(?P<part>entirely|wholly|completely|fully|totally|(?<!at )all|purely"
    r"|clearly"
    r"|strictly|always|black and white)"
    r"|inherently|intrinsically|necessarily|exactly|automatically|per se|technically|strictly|in itself)\b"
)
"""A negation of the degree: the deed may still be wrong in part (`part`), or in another way."""
_SLANG = re.compile(r"\W*(?:(?P<wrong>yta|esh)|(?P<right>nta|nah|nath))\b\W*", re.IGNORECASE)


@dataclass(frozen=True)
class _Judgement:
    wrong: bool
    plain: bool
    """Whether the word is `wrong` itself."""
    main: bool
    turns: bool
    """Whether its clause corrects an earlier one: but, however."""
    sentence: int
    modal: bool
    denied: bool
    """Whether it denies the opposite: not right, not wrong."""


def wrongness(text: str) -> ParsedAnswer:
    """Whether a reply calls the deed wrong.

    A leading yes or no is the answer; if the same sentence contradicts it ("No, that was wrong"), it is conflicting.
    Otherwise the reply's own claims count, and not other people's opinions, conditions or doubts.
    """
    said = simplified(own_turn(text))
    return first_verdict(text, said, _ECHO, _answer)


def _answer(said: str) -> ParsedAnswer:
    if _LANGUAGE.search(said) and not _MORALS.search(said):
        return UNREAD  # It judges the sentence and not the deed.
    slang = _SLANG.fullmatch(said.split("\n")[0])
    if slang is not None and slang["right"] != "nah":
        return ParsedAnswer(slang["wrong"] is not None)
    if _NEITHER.search(said):
        return CONFLICTING
    field = _FIELD.search(said)
    if field is not None:
        return ParsedAnswer((field["yes"] or field["moral"]) is not None)
    first = lead(said)
    if first is not None:
        if first.says is None:
            return CONFLICTING
        if declines(first.rest):
            return DECLINED
        if _OF_ITSELF.match(first.rest):
            return UNREAD
        contradicted = _contradicted(first.says, first.rest) or _withdrawn(first.says, first.rest)
        return CONFLICTING if contradicted else ParsedAnswer(first.says)
    return _weighed(list(_verdicts(said)))


def _contradicted(says: bool, rest: str) -> bool:
    """Whether the rest of the sentence after a leading yes or no says the opposite."""
    if re.match(r"\s*[.!;\n]", rest):
        return False
    following = next(clauses(rest), None)
    if following is None or following.link in SUBORDINATE | TURNING:
        return False
    conditional = re.search(r"\b(?:if|unless)\b", rest.split(".")[0]) is not None
    return any(verdict.wrong != says and not (verdict.modal and conditional) for verdict in _of_clause(following))


def _withdrawn(says: bool, rest: str) -> bool:
    """Whether the sentence after "No." calls the deed wrong itself, or that after "Yes." calls it right."""
    rest = re.sub(r"^(?:,? (?:no|yes)\b)+", "", rest)
    if re.match(r"\s*[.!;\n]", rest) is None:
        return False
    following = [clause for clause in clauses(rest.lstrip(" .!;\n")) if clause.sentence == 0]
    if any(clause.link in CONDITIONS | TURNING or clause.question for clause in following):
        return False
    exclaimed = rest.lstrip().startswith("!")  # No way! That is awful.
    verdicts = [verdict for clause in following for verdict in _of_clause(clause) if verdict.main]
    said = [verdict for verdict in verdicts if verdict.plain or exclaimed]
    return bool(said) and all(verdict.wrong != says and not verdict.modal for verdict in said)


def _weighed(judgements: Sequence[_Judgement]) -> ParsedAnswer:
    """One verdict from several. Those of main clauses, corrections and the plain word take precedence."""
    judgements = [verdict for verdict in judgements if verdict.main] or list(judgements)
    if not judgements:
        return UNREAD
    last = judgements[-1]
    if last.turns and last.denied and any(verdict.denied and verdict.wrong != last.wrong for verdict in judgements):
        return CONFLICTING  # It is not wrong, but it is not right.
    if last.turns:
        return ParsedAnswer(last.wrong)
    for chosen in (judgements, [verdict for verdict in judgements if verdict.plain]):
        if len({verdict.wrong for verdict in chosen}) == 1:
            return ParsedAnswer(chosen[0].wrong)
    return CONFLICTING


def _verdicts(said: str) -> Iterator[_Judgement]:
    everything = list(clauses(said))
    conditional = {clause.sentence for clause in everything if clause.link in CONDITIONS}
    mentioned: _Judgement | None = None
    supposed = {
        clause.sentence
        for clause, before in zip(everything, [None, *everything], strict=False)
        if clause.link == "if"
        and (before is None or before.sentence != clause.sentence)
        and not ASKED.match(clause.words)
    }
    turned = {clause.sentence for clause in everything if clause.link in TURNING | {"although", "though"}}
    partial = {clause.sentence for clause in everything if _in_part(clause, clause.sentence in turned)}
    cut_off = re.search(r"\w\s*$", said) is not None
    for clause in everything:
        if clause.question:
            continue
        is_whole = not (cut_off and clause is everything[-1])
        if mentioned is not None and mentioned.sentence == clause.sentence and is_whole:
            says = _again(clause, mentioned)
            if says is not None:
                yield replace(mentioned, wrong=says, main=True, turns=True)
        if _NOT_THE_WRITER.fullmatch(clause.words) and mentioned is not None and mentioned.sentence == clause.sentence:
            yield replace(mentioned, wrong=not mentioned.wrong, main=True)  # The friend is at fault, not the writer.
        mentioned = next(_of_clause(clause, of_others=True), mentioned)
        for verdict in _of_clause(clause):
            if clause.sentence in supposed or (clause.sentence in partial and verdict.denied):
                continue
            if not (verdict.modal and clause.sentence in conditional):
                yield verdict


def _again(clause: Clause, mentioned: _Judgement) -> bool | None:
    """What an elliptic clause says about the deed that the sentence has judged before; None if it is none."""
    predicate = _PREDICATE_AGAIN.fullmatch(clause.words)
    if predicate is not None:  # It may seem wrong, but it is not. Some say that it is not wrong, but it is.
        return (mentioned.wrong != mentioned.denied) == (predicate["not"] is None)
    elliptic = _ELLIPTIC.fullmatch(clause.words)
    if elliptic is not None:  # Some say that it is wrong, but I do not think so.
        return mentioned.wrong == (elliptic["disagree"] is None)
    return None


def _in_part(clause: Clause, turned: bool) -> bool:
    """Whether a clause denies the degree alone: "not entirely wrong", "not inherently wrong, but ..."."""
    partly = _PARTLY.search(clause.words)
    return partly is not None and (turned or partly["part"] is not None)


def _own_predicate(before: str) -> str:
    """The words before a judgement without the deed that is their subject."""
    deed = _DEED.match(before)
    return (deed["frame"] or "") + before[deed.end() :] if deed else before


def _of_clause(clause: Clause, of_others: bool = False) -> Iterator[_Judgement]:
    """The verdicts of a clause: the reply's own, or also those that it reports."""
    if clause.link not in CONDITIONS:
        for wrong, denied in blames(clause.words):
            main = clause.link not in SUBORDINATE
            yield _Judgement(wrong, False, main, False, clause.sentence, False, denied)
    for word in _PREDICATE.finditer(clause.words):
        before = _own_predicate(clause.words[: word.start("word")])
        made = claim(before, clause.link)
        is_opinion = _OPINION.match(word[0]) is not None
        subject = _AUXILIARY.split(made.subject.removesuffix(clause.words[word.start() : word.start("word")].strip()))[
            0
        ]
        if is_opinion:
            others = is_others(made.subject)
        else:
            included = _AND_THE_WRITER.search(subject)
            others = _SOMEBODY_ELSE.search(subject) is not None and included is None
        if _WOULD_MEAN.search(before):
            continue
        others |= _BY_SOME.match(clause.words[word.end() :]) is not None
        if not of_others and (made.voice != "own" or others):
            continue
        if word["virtue"] and not made.holds:
            continue  # What is not kind need not be wrong.
        wrong = (word["good"] is None) == made.holds
        modal = re.search(r"\b(?:would|could|might|may)\b", made.subject) is not None
        yield _Judgement(
            wrong,
            word["wrong"] is not None,
            clause.link not in SUBORDINATE,
            clause.link in TURNING,
            clause.sentence,
            modal,
            not made.holds,
        )
