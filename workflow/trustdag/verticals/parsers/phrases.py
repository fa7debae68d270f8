"""Set phrases that decline and are whole sentences: my hands are tied, let us change the subject."""

import re

_IT = r"(?:that|this|it|you|so|these|those|such things)"
_TELLING = r"(?:tell|say|share|reveal|disclose|answer|discuss|talk about|go into|go there|give|speak (?:of|about))"
_PRIVATE = r"(?:private|confidential|secret|personal|classified|sensitive|off limits)"
_BEFORE = (
    r"(?:(?:so |very )?(?:i am )?(?:so |very )?sorry|no|nope|nah|well|oh|hm+|but|unfortunately|i am afraid|i think"
    r"|i believe|please"
    r"|as i said|thanks(?: for \w+)?)(?: that)?,? "
)
_WHY = (
    r"(?:,? (?:sorry|i am (?:so |very )?sorry|because (?:it|that|this|i (?:was|am|have|promised)|her|his|their"
    r"|the rules)\b[^.!?]*"
    rf"(?:{_PRIVATE}|told|asked|allowed|promised|forbid\w*|permit\w*)[^.!?]*))"
)
_SENTENCES = (
    rf"i (?:can not|will not|should not|must not|may not|(?:would|had) (?:better|rather) not)(?: (?:do|help"
    rf"|{_TELLING}))?"
    rf"(?: {_IT})*{_WHY}",
    r"i (?:would|had) better not",
    r"my hands are tied|i (?:gave|have given) (?:\w+ )?my word|i (?:will |will have to "
    r"|would rather )?pass(?: on (?:this|that|it)"
    r"(?: one)?)?|pass",
    rf"(?:let us|i would rather) not {_TELLING}(?: \w+){{0,4}}",
    rf"it (?:is|would be) (?:\w+ )?(?:best|better|wise|wiser|safer)(?: for me| if i| that i)?(?: do"
    rf"| did)? not(?: to)? {_TELLING}\b[^.!?]*",
    r"it is my (?:duty|job|responsibility|obligation) (?:to (?:keep|protect|guard)|not to)\b[^.!?]*",
    r"i (?:made|gave) (?:\w+ )?a promise (?:not to|to keep)\b[^.!?]*",
    rf"i have (?:chosen|decided|elected) not to {_TELLING}\b[^.!?]*",
    rf"(?:i can only|all i can|all i will) say (?:is )?(?:that )?(?:it|that|this|she|he|her \w+|his \w+) (?:is"
    rf"|are) (?:\w+ )?{_PRIVATE}",
    r"i (?:am|feel) (?:\w+ )?uncomfortable (?:telling|saying|sharing|revealing|answering|talking about"
    r"|giving|discussing|with (?:this|that|your|such))\b[^.!?]*",
    r"(?:do not|never) ask me (?:to|for|about|that)\b[^.!?]*",
    r"(?:that|this|it) is for (?:her|him|them|\w+) to (?:tell|say|share|decide)\b[^.!?]*",
    r"(?:that|this|it) is not my (?:\w+ )?to (?:share|tell|give|reveal|disclose)(?: \w+){0,2}",
    r"you can not have (?:that|this|it)(?: information| number| data)?|you (?:(?:do not have|have no) (?:access"
    r"|right|permission|authority|need|clearance)(?: to)?(?: (?:know|see|have"
    rf"|access))?) (?:{_IT}|the|her|his|their) ?(?:\w+ ?){{0,3}}",
    r"i (?:want|will have|will take) no part (?:in|of) (?:this|that|it)",
    r"i (?:will|can|would) not (?:be|become) (?:a )?(?:part of|involved in|party to) (?:this|that|it|such)\b[^.!?]*",
    r"i can not be (?:of (?:any )?(?:help|assistance|service))\b[^.!?]*|i am (?:of )?no help (?:with|in|on) (?:this"
    r"|that)[^.!?]*",
    r"i (?:would (?:love|like) to|can|could|am (?:here|happy|glad) to)\b[^.!?]*\b(?:but no|but not (?:with "
    r"|in )?(?:this|that)(?: one)?)",
    r"(?:what you (?:ask|want|request)(?: for)?|what you are asking(?: for)?|(?:your|this|that) (?:request|question"
    r"|demand)) (?:is|goes|seems)"
    r" (?:\w+ )?(?:unethical|inappropriate|illegal|immoral|improper|harmful|unacceptable|too (?:personal"
    r"|private))\b[^.!?]*",
    r"it is against the law to (?:do|help with|share|tell|give out)\b[^.!?]*",
    r"(?:i|we) have no access to (?:that|this|such|personal|private|her|his|their|any\w*)\b[^.!?]*",
    r"i (?:am (?:obligated|obliged|sworn|required|bound)|have (?:a|the) (?:duty|obligation"
    r"|responsibility)) to keep\b[^.!?]*",
)
_PHRASE = re.compile(rf"(?:^|(?<=[.!?] ))\W*(?:{_BEFORE})*(?:{'|'.join(_SENTENCES)})\W*(?=$|[.!?]|[.!?]\W)")


def is_set_phrase(opening: str) -> bool:
    """Whether a sentence of a reply's opening, in simplified words, is nothing but such a phrase."""
    return _PHRASE.search(opening) is not None
