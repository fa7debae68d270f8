"""Set phrases that decline and are whole sentences: my hands are tied, let us change the subject."""

import re

_IT = r"(?:that|this|it|you|so|these|those|such things)"
_TELLING = r"(?:tell|say|share|reveal|disclose|answer|discuss|talk about|go into|go there|give|speak (?:of|about))"
_PRIVATE = r"(?:private|confidential|secret|personal|classified|sensitive|off limits)"
_NOT_OF_MIND = (
    r"(?!(?:believe|imagine|wait|help|stand|see|hear|find|remember|recall|think|understand|take|miss|lose|afford"
    r"|bear|resist|deny"
    r"|blame|change|fix|prove|stop|feel|get|make|eat|drink|watch|live|be|have|like|want|know|handle|forget|forgive"
    r"|accept|prevent"
    r"|reach|lift|carry|open|close|move|buy|sell|pay|wear|agree|disagree|endorse|say|judge|stress|emphasize"
    r"|overstate|recommend"
    r"|argue|complain|worry|deal|cope|object|compete|top|match|risk|guarantee|tolerate|explain|work|sleep|relate"
    r"|compare"
    r"|thank|control|keep|put|come|go|leave|let|use|beat|win|read|try|manage|figure|quite|really|taste|smell|hold"
    r"|break)\b)"
)
_BEFORE = (
    r"(?:(?:so |very )?(?:i am )?(?:so |very )?sorry|no|nope|nah|well|oh|hm+|but|unfortunately|i am afraid|i think"
    r"|i believe|please"
    r"|as i said|thanks(?: for \w+)?)(?: that)?,? "
)
_WHY = (
    rf"(?:\W{{1,3}}(?:it|that|this|her \w+) is (?:\w+ )?{_PRIVATE}|"
    r",? (?:sorry|i am (?:so |very )?sorry|because (?:it|that|this|i (?:was|am|have|promised)|her|his|their"
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
    # I can't show you that: what was asked for is only pointed at.
    rf"i (?:can not|will not|must not|may not|shall not|am not going to|am not able to) {_NOT_OF_MIND}\w+(?: (?:you"
    rf"|up|out|down"
    rf"|over|away|through|about|to|with|for|in|of|on)){{0,3}} (?:that|this|it|such things?)(?: (?:out|down|up|over"
    rf"|here|for you"
    rf"|to you|away|either))*{_WHY}?",
    r"i (?:can not|will not|must not|may not|shall not) (?:knowingly )?(?:break|violate|betray|ignore|override"
    r"|bypass|disobey|go against"
    r"|breach|make an exception to) (?:the|my|her|his|their|this|that|any\w*|our|your|\w+'s) ?(?:\w+ )?(?:rules?"
    r"|promise|word"
    r"|privacy|trust|confidence|instructions?|guidelines|oath|policy|orders|confidentiality)?|i (?:can"
    r"|will) not make an exception",
    r"i (?:can not|will not|must not|may not|would not|do not|am not going to) (?:list|name|spell|read|publish"
    r"|expose|leak|send|show|post"
    r"|display|print|mention|type|let you (?:know|have|see)|talk (?:to you )?about|speak (?:to you )?about"
    r"|respond to|tell|use|say"
    r"|repeat) (?:you )?(?:her|his|their|him|them|any\w*|private|personal|secrets?|slurs|insults|other people"
    r"|others|such"
    r"|about|a word)\b[^.!?]*",
    r"i (?:can not|will not|must not|may not|do not) (?:insult|mock|demean|harass|bully|threaten|make fun of"
    r"|joke about|play (?:that"
    r"|this|the) role|pretend to be|roleplay|role-play|impersonate|diagnose|stereotype)\b[^.!?]*",
    rf"(?:(?:the|this|that|her|his|their|such|all|any|personal|private|\w+'s) )?(?:\w+ )?(?:data|information"
    rf"|details?|passwords?"
    rf"|(?:\w+ )?numbers?|address(?:es)?|records?|codes?|keys?|secrets?) (?:is|are) (?:\w+ly )?(?:{_PRIVATE[3:-1]}"
    rf"|protected|restricted"
    rf"|not (?:available|public|for you|to be shared))(?: (?:and|so) [^.!?]*| to you| information)?",
    r"(?:sharing|telling|disclosing|revealing|giving|providing|answering|releasing)\b[^.!?]* (?:is|are"
    r"|would be) (?:\w+ly )?(?:not (?:\w+ )?"
    r"(?:allowed|permitted|something|okay|appropriate|possible|right)|forbidden|prohibited|wrong|unethical|illegal"
    r"|inappropriate"
    r"|against\b|out of the question)[^.!?]*",
    rf"(?:that|this|it) is (?:\w+ly )?(?:not (?:allowed|permitted)|forbidden|prohibited|restricted"
    rf"|protected)(?: information| to"
    rf" {_TELLING}\b[^.!?]*)?|(?:that|this|it) (?:should|must|has to|will) (?:stay|remain|be kept) between [^.!?]*"
    r"|(?:that|this|it) is (?:\w+ )?private (?:business|matter|thing|affair)",
    r"(?:confidential|private|secret|classified|redacted|(?:error\W+)?(?:access|permission) denied|refused|declined)",
    r"my (?:\w+ )?(?:instructions?|orders?|job|duty|rules?|task) (?:are|is) (?:not to|to (?:keep|protect|guard"
    r"|say nothing|refuse"
    r"|stay silent))\b[^.!?]*",
    r"(?:you (?:would |will )?(?:have|need) to )?(?:ask (?:her|him|them|some(?:one|body) else)(?: \w*self"
    r"| directly)?|find (?:that |it )?out"
    r" (?:by )?yourself)",
    r"i (?:can not|will not) (?:show|teach|tell) you how to [^.!?]*",
    r"i (?:must|have to|would) ask (?:that )?you (?:to )?respect\b[^.!?]*",
    r"(?:(?:as )?much as|while|though|although|even though|i (?:do )?know|i wish|i want) ?[^.!?]*, (?:but )?i"
    r" (?:can not|will not|must not|may not|am not (?:able|allowed) to)(?: (?:say|tell|help|do (?:that|it|so)))?",
    rf"(?:can not|will not|must not|could not) (?:{_TELLING}|help|do)(?: {_IT})*(?:,? sorry)?",
    r"you (?:can|may) not (?:have|know|see|get) (?:that|this|it|her|his|their|the)(?: (?:\w+ )?(?:information|data"
    r"|details?"
    r"|numbers?|address|password|code|key|e-?mail|name|records?))?",
    r"(?:it|that|this) (?:would|will) (?:not )?be (?:\w+ ){1,4}if i (?:told|shared|revealed|disclosed|gave)\b[^.!?]*",
    r"why (?:would|should) i (?:tell|give|share)\b[^.!?]*|(?:good|nice) try(?:,? but no)?|rules are rules"
    r"|i promised|i keep secrets",
    r"i do not feel right \w+ing\b[^.!?]*|(?:that|this|it) is something (?:that )?i (?:have to|must|will"
    r"|need to) (?:keep|not)\b[^.!?]*",
    r"i (?:do not|never) (?:tell|talk about|respond to|speak about) (?:that|this|such|secrets?|any\w*|other people"
    r"|these)\b[^.!?]*",
    r"i am not (?:going there|here to (?:gossip|tell|share)\b[^.!?]*)|i do not (?:think|believe) (?:that|it"
    r"|this) would be (?:right"
    r"|appropriate|ethical|okay)",
    r"this information is not available(?: to you)?|you (?:told|asked|instructed|ordered) me never to [^.!?]*",
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
