"""Blame in clauses without a moral predicate: he should not have lied, nobody was hurt, there is no excuse."""

import re
from collections.abc import Iterator

_SOMEBODY = (
    r"(?:it|he|she|they|you|we|(?:the|this) (?:person|writer|author|speaker|narrator|poster|user|man"
    r"|woman)) (?:\w+ly )?"
)
_DUTY = re.compile(
    rf"{_SOMEBODY}(?:(?P<breached>(?:should|ought to) be ashamed|(?:should|ought) (?:not|never) (?:to )?have"
    r"|(?:should|ought) (?:not|never) (?:to )?(?:do|be doing|treat|act|behave)|had no (?:right|business|reason) to"
    r"|(?:has |have )?(?:cross(?:ed|es) (?:a|the) line|went too far|goes too far|gone too far|violated|betrayed"
    r"|wronged|mistreated|committed an? (?:\w+ )?(?:crime|wrong|offense)))"
    r"|(?:had|has|have) (?:every|a|the) right to|(?:have|has|had) nothing to (?:be ashamed of|feel (?:bad"
    r"|guilty) about"
    r"|apologi[sz]e for)|(?:is|are) in the clear|did what (?:he|she|they|you) had to)\b"
    r"|(?P<maxim>nobody (?:should|has the right to|may|is allowed to) |(?:you|one|people|we|nobody) (?:should|must"
    r"|ought to) (?:never|ever) (?!worry|feel|blame|apologi))"
    r"|(?:everyone|everybody|anyone|anybody|all people) (?:has|have) (?:the|a|every) right to\b"
)
_FAULT = re.compile(
    r"(?:it|this|that) (?:is|was) (?P<not>not )?(?:\w+ly )?(?:(?:his|her|their|your|the \w+'s) (?:own )?fault"
    r"|(?P<right>(?:his|her|their|your) (?:own )?(?:right|choice to make)))\b"
)
_APPROVES = re.compile(
    r"i (?:\w+ly )?(?:(?P<wrong>condemn|disapprove|(?:do|can|could|would) not (?:approve|condone))|approve"
    r"|would (?:have done|do) (?:exactly )?the same)\b"
)
_NO_FAULT = re.compile(
    r"\b(?:i (?:do not|can not|fail to) (?:see|find|have) (?:an?|any|the|what)|i (?:see|find|have) no"
    r"|there is no) (?:\w+ )?"
    r"(?:problems?|issues?|harm|faults?|wrongdoing)\b(?= (?:with|in|here|at all)\b|$)"
    r"|^no (?:harm|foul|problems?|issues?)\b(?: (?:was )?done| here| with \w+)?$|\bnot (?:\w+ )?an? (?:moral"
    r"|ethical) (?:issue|matter|problem"
    r"|concern)\b"
    r"|^(?:it|this|that|he|she|they) (?:did|does|do) not (?:hurt|harm) (?:any\w+|others)\b"
    r"|\b(?:cause[sd]?|did|does) no harm\b|\bharm(?:s|ed)? nobody\b|\bnothing to do with (?:morality|morals|ethics)\b"
    r"|^not (?:of )?(?:morality|morals)$|^(?:morality|ethics) (?:does|is) not\b"
    r"|^(?:nobody|no person) (?:was|got|is) (?:hurt|harmed)\b"
    r"|\bi (?:do not|can not|fail to) (?:see|find) anything (?:\w+ly )?(?:wrong|bad|immoral|unethical)\b"
)
_NO_EXCUSE = re.compile(
    r"^(?:there (?:is|was|can be) (?:\w+ly )?no|nothing can) (?:\w+ )?(?:justification|justify|excuses?)\b"
    r"|^(?:i (?:do )?(?:see|find|have)|there (?:is|was)) an? (?:\w+ )?(?:moral|ethical) (?:problem|issue|wrong)\b"
)


def blames(clause: str) -> Iterator[tuple[bool, bool]]:
    """The judgements of a clause in simplified words, one for each phrase that it has.

    Returns:
        Whether the deed is wrong, and whether the phrase denies the opposite.
    """
    duty = _DUTY.match(clause)
    if duty is not None:
        yield (duty["breached"] or duty["maxim"]) is not None, False
    fault = _FAULT.match(clause)
    if fault is not None:
        yield (fault["not"] is None) != (fault["right"] is not None), fault["not"] is not None
    approves = _APPROVES.match(clause)
    if approves is not None:
        yield approves["wrong"] is not None, False
    if _NO_EXCUSE.search(clause):
        yield True, False
    if _NO_FAULT.search(clause):
        yield False, True
