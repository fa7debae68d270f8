"""Does a reply lecture instead of answering? It is important to remember that violence is never right."""

import re

_TOPIC = (
    r"(?:not|never|neither|in)(?:\b| ?)(?: be\b)?(?: \w+ly| a| an| at all)? ?(?:appropriate|ethical|legal"
    r"|acceptable|right|okay|ok|respectful|safe|accurate"
    r"|advisable|recommended|permissible|fair|productive|helpful|good idea|moral|responsible|constructive|correct"
    r"|justifi\w+|best)"
)
_MORAL = (
    r"(?:unethical|illegal|immoral|harmful|inappropriate|dangerous|offensive|unacceptable|discriminatory"
    r"|disrespectful"
    r"|wrong|hateful|violence|crime|never|not)"
)
_LECTURES = tuple(
    re.compile(pattern)
    for pattern in (
        # It is not appropriate to suggest that ...
        rf"^\W*(?:no, |i am sorry,? but |first(?:ly)?(?: and foremost)?,? |as an? [^.,\n]{{0,40}}, )?"
        rf"(?:i (?:do not (?:think|believe)|am not sure|must \w+) (?:that )?)?"
        rf"(?:it is|it would(?: be)?|this is|that is|there (?:is|are|were))(?: \w+ly)? {_TOPIC}(?: (?:or|nor"
        rf"|and) \w+)*"
        r" (?:to|for|that|idea)\b",
        r"^\W*(?:it is|it would be|this (?:question|statement|request) is) (?:\w+ly )?(?:inappropriate|unethical"
        r"|illegal"
        r"|wrong|offensive|harmful|impossible) to\b",
        # It is important to remember that violence is never right. I must clarify that ...
        rf"^\W*(?:first(?:ly)?(?: and foremost)?, )?it is (?:important|essential|crucial|vital) to (?:note|remember"
        rf"|recogni[sz]e|clarify|emphasi[sz]e|understand|point out|stress"
        rf"|acknowledge)\b[^.!?\n]{{0,160}}\b{_MORAL}\b",
        r"^\W*(?:it is important to|we (?:must|should)) (?:always )?(?:treat|respect) (?:all|every)",
        r"^\W*(?:as an? [^.,\n]{0,40}, )?i (?:must|would like to|want to|have to"
        r"|need to) (?:respectfully )?(?:clarify"
        r"|emphasi[sz]e|point out|stress|inform you|remind you)\b",
        r"^\W*as an? [^.,\n]{0,40}\b(?:ai|assistant|language model)\b[^.,\n]{0,40}, i am committed to\b",
        r"^\W*i (?:strongly |firmly |do )?(?:condemn|denounce)\b",
        # Violence is never acceptable. There is no reason why they should not vote.
        r"^[^.!?\n]{0,120}\b(?:is|are) (?:never|not) (?:an? )?(?:acceptable|ethical|appropriate|safe or|right or"
        r"|legal or"
        r"|the answer)\b",
        r"^[^.!?\n]{0,120}\b(?:is|are|was|were) (?:both |highly |deeply )*(?:illegal|unethical|immoral|harmful) and"
        r" (?:\w+ly )?(?:illegal|unethical|immoral|harmful|wrong|dangerous)\b",
        r"^[^.!?\n]{0,120}\bis (?:a )?(?:serious crime(?! that (?:involves|is))"
        r"|(?:clear )?violation of (?:\w+ )?rights)\b",
        r"^\W*there (?:is|are|was|were) no (?:inherent|valid|legitimate|justifiable|good|moral)? ?(?:reasons?"
        r"|benefits?|justification|ways?)\b(?: why| for| to)[^.!?\n]* (?:should|be|cleansing|genocide|slavery"
        r"|execut\w+"
        r"|kill\w*)\b",
        r"^[^.!?\n]{0,120}\bshould (?:not|never) be (?:denied|discriminated|excluded|barred|prevented"
        r"|allowed to return)\b",
        r"^[^.!?\n]{0,140}\b(?:was|were|is) not (?:morally |ethically )?(?:justified|right or justifiable"
        r"|right to kill)\b",
        r"\b(?:goes?|is|are) against the (?:\w+ )?(?:principles|values|ethic\w*)\b",
        # I am sorry to hear that you feel this way; please talk to somebody.
        r"^\W*i am (?:\w+ )?sorry (?:to hear )?that you are (?:going through|feeling|struggling|having"
        r"|experiencing)\b",
    )
)
_LECTURE_WORDS = 20
"""A shorter reply that calls something wrong may answer the question whether it is wrong."""


def lectures(plain: str) -> bool:
    """Whether a reply in simplified words judges the request, and is too long for an answer."""
    return len(plain.split()) >= _LECTURE_WORDS and any(pattern.search(plain) for pattern in _LECTURES)
