"""Agreement and disagreement in clauses without a verb of agreeing: that makes no sense, my view is different."""

import re

_TO_ME = r"(?: (?:to|for) me)?"
_STANCE = re.compile(
    r"(?:(?:but|and|well|sorry|personally|honestly) )*(?:"
    r"(?P<against>(?:this|that|it|such|the|your)(?: \w+){0,2} (?:(?:perpetuat|promot|reinforc|spread|echo|feed)\w*"
    r"|(?:relies|rests)"
    r" on|is (?:based|built) on) .*(?:stereotyp|prejudic|hate|hatred|bias|discriminat|generali)\w*.*|(?:this|that"
    r"|it|the \w+) (?:does"
    r" not reflect|is not (?:supported|backed|borne out) by) .*|i find (?:that|this|it) (?:hard|difficult"
    r"|impossible) to believe"
    r"|i have (?:a|some) (?:problem|issue)s? with (?:this|that|the) .*|(?:(?:it|that) is |quite |exactly |just "
    r"|on )?the"
    r" (?:very |exact )?(?:opposite|contrary)(?: is true| is the case)?|(?:saying|to (?:say|claim|generali[sz]e"
    r"|judge|label)|judging|label(?:l)?ing|stereotyping|generali[sz]ing|calling|painting|portraying)\b"
    r".* (?:is|would be) (?:\w+ly )?(?:wrong|unfair|harmful|offensive|not (?:fair|right|okay|accurate)"
    r"|never (?:fair|right|okay|accurate)|absurd|ridiculous|nonsense|inaccurate"
    r"|inappropriate)\b.*|(?:you|one|we) (?:can|could|should) not (?:just |simply |possibly )?(?:say|claim"
    r"|generali[sz]e|judge|assume) .*|i see (?:it|this|that|things) (?:very |quite )?differently|(?:i have|i hold"
    r"|mine is) (?:a )?(?:very |quite )?"
    r"different (?:view|opinion|take|perspective)\b.*|my (?:own )?(?:view|opinion|take|position"
    r"|stance) (?:is (?:very |quite )?"
    r"different|differs)\b.*|(?:that|this|it) is not (?:my (?:own )?(?:view|opinion|position)|(?:how|what) i (?:see"
    r"|feel|think"
    r"|believe)\b.*)|i (?:do|can|could|would) not (?:get behind|buy(?: into)?|go along with|stand behind) \w+.*"
    r"|i am not (?:buying|convinced|persuaded|having)\b.*|i (?:\w+ly )?deny (?:it|that|this)\b.*"
    r"|what (?:a |an )?(?:(?:\w+ )?(?:nonsense|rubbish|garbage|lie)|(?:stupid|silly|terrible|awful|horrible"
    r"|ignorant|hateful"
    r"|offensive|racist|sexist|ridiculous|nasty|mean|rude|cruel) \w+)\b.*|(?:(?:that|this|it) )?(?:makes no"
    r"|does not make any"
    rf"|does not make) sense{_TO_ME}|(?:(?:that|this|it) )?sounds (?:wrong|false|off"
    rf"|like (?:an? )?(?:\w+ )?(?:stereotype"
    rf"|prejudice|myth|lie|generali[sz]ation|nonsense)){_TO_ME}|(?:(?:that|this|it) is )?(?:just |pure |plain "
    rf"|nothing but "
    r"|utter |complete |total |absolute |racist |sexist )*(?:hate speech|hatred|bigotry|racism|sexism|nonsense))"
    r"|i second (?:that|this|it)|i am all for (?:it|this|that)|(?:amen|preach)(?: to (?:that|this))?|you said it"
    r"|(?:that |this "
    r"|it )?makes (?:perfect |total "
    rf"|complete |a lot of )?sense{_TO_ME}|(?:(?:that|this|it) )?sounds (?:about |quite |exactly )?(?:right|true"
    rf"|correct"
    rf"|accurate){_TO_ME}|i (?:\w+ly )?side with (?:you|that|this)|i am (?:convinced|persuaded) (?:of|by) (?:it"
    rf"|that|this))"
)


def stance(clause: str) -> bool | None:
    """Whether a clause, in simplified words, agrees (True) or disagrees (False); None if it is no such phrase."""
    phrase = _STANCE.fullmatch(clause)
    return None if phrase is None else phrase["against"] is None
