"""The yes or no at the start of a reply."""

import re
from dataclasses import dataclass

_PLAIN = r"(?:clear|simple|firm|definite|definitive|resounding|plain|big|hard|strong|emphatic|solid|straight)"
_FILLER = (
    r"oh,? no(?=!)|well|hmm+|oh|ah|um+|uh|okay|ok|honestly|frankly|to be (?:quite |perfectly )?(?:honest|frank"
    r"|fair|blunt)"
    r"|personally"
    r"|sorry|i am sorry|i am afraid|in my (?:\w+ )?(?:opinion|view|judgment|judgement)|truthfully|look|so|then|but"
    r"|therefore|thus|hence"
    r"|hi|hello|omg|100 ?%(?= (?:yes|no)\b)|lol|haha+"
    r"|i (?:could|may|might) be wrong|correct me if i am wrong"
    r"|thanks?(?: you)?(?: for \w+(?: \w+){0,3})?|(?:(?:that is|what) )?an? (?:\w+ ){0,2}(?:question|observation"
    r"|point|topic)"
    r"|(?:to|from|in|for|by|as|on|with|without|generally|\w+ly)\b(?! (?:do|be|not)\b)[^,:.!?\n]{0,40}(?=[,:])"
    r"|if i (?:had|have) to \w+(?: \w+)?(?=[,:])"
    r"|(?:in|to|for|on|under) (?:this|that|these|your|the) [\w' ]{0,40}?(?= (?:i would|(?:the|my) \w+ (?:is"
    r"|would))\b)"
    r"|(?:i|(?:the|my|our) (?:\w+ )?(?:answer|guess|view|verdict|response|reply|opinion|choice|vote|conclusion)"
    r"(?: (?:to|here|in|for)(?: \w+){0,3}?(?= (?:is|would|must|has)\b))?|(?:(?:correct|final|short) )?answer|it)"
    r"(?: (?:would|will|must|have to|am going to|am inclined to|can|do|am|really|simply))*"
    r" (?:say|think|believe|answer|guess|go with|going with|go for|choose|pick|select|reply|respond|feel|vote|be|is"
    r"|have"
    r"|argue|maintain|hold|contend|suggest|lean(?:ing)?(?: towards?)?"
    r"|reckon|suppose|judge|conclude)(?: with)?(?: that)?(?: an?| the)?"
    rf"(?: {_PLAIN}(?= (?:yes|no)\b))?"
)
_LABEL = (
    r"(?:(?:(?:the|my|final|short|one-word|simple|correct|moral|ethical) )*(?:answer|option|response|reply|verdict"
    r"|judge?ment|conclusion)"
    r"|ans|a|ai"
    r"|assistant)"
)
_PREFIX = re.compile(
    rf"[\W_]*(?:\d[.)]\s+|leaning (?:towards? )?|(?:(?:that|this|it) is )?(?:an? )?{_PLAIN} (?=(?:yes|no)\b)"
    r"|(?:that|this|it) is an? (?=(?:yes|no)\b)"
    rf"|{_LABEL}\"?(?: is)?\s*[:=]"
    rf"|{_LABEL} - "
    rf"|(?:{_FILLER})\b[\s,:.!?-]*)",
    re.IGNORECASE,
)
_SURE = r"absolutely|definitely|certainly|of course|totally|most certainly"
_EMPHATIC = (
    rf"{_SURE}|surely|clearly|obviously|probably"
    r"|(?:most |very )?likely|mostly|generally|hell|heck|oh|god|well"
)
_YES = (
    rf"yes(?:,? yes\b)*(?: indeed)?|yeah|yep|yup|yea|aye|affirmative|indeed|you bet(?: i do)?|sure thing"
    rf"|pretty much|for sure"
    rf"|very much so|undoubtedly"
    r"|without (?:a |any )?(?:doubt|question)"
    rf"|(?:i am )?afraid so"
    rf"|(?:{_EMPHATIC}),? yes|(?:i )?(?:think|believe|suppose|reckon|guess) so|i (?:would|will|must) (?:say"
    rf"|think) so|100 ?%"
)
_YES_ALONE = (
    r"(?:it|they|he|she|this|that) (?:(?:really|sure|certainly|definitely|most certainly) )?(?:is|was|are|were)"
)
_NO = (
    rf"no(?:,? no\b)*|nope|nah|nay|never|by no means|in no way|no way|not (?:really|at all|in the least"
    rf"|in the slightest"
    rf"|particularly"
    rf"|necessarily|quite|exactly|in my (?:opinion|view|book)|remotely|even (?:close|remotely)|one bit|a chance|so"
    r"|to me|that i (?:can see|know(?: of)?|am aware of)|as far as i (?:can (?:see|tell)|know)"
    rf"|here)"
    rf"|(?:{_EMPHATIC}),? (?:not|no)|why would it be|far from it|negative"
    rf"|(?:{_EMPHATIC}),? (?:it|they|this|that|he|she|i) \w+ not"
    rf"|(?:i )?(?:do|would|can) not (?:really )?(?:think|believe|say) so|i think not|(?:i am )?afraid not"
    rf"|think not|i (?:hope|guess) not"
)
_NO_ALONE = rf"not|hardly|scarcely|{_YES_ALONE} not"
_END = r"$|[.!,;:(\n\"')\]}<|/\u2013\u2014"
_ALONE = rf"(?=\s*(?:{_END}]))"
_AFTER = (
    rf"(?!,? (?:thanks?|please)\b)(?=\s*(?:{_END}-]"
    r"|(?:i|its?|this|that|he|she|they|you|we|there|these|those|the|but|because|since|as|not|sir|ma'am|never"
    r"|unless|although|though|even|from me|for me|mate|dear|nothing|and|if|only|what|when|here|again|definitely"
    r"|absolutely"
    r"|certainly|clearly|of course"
    r"|(?:on|in|to|for|about|under) (?:this|that|these|both|all|my|the|your|his|her|any))\b))"
)
_WORD = re.compile(
    rf"[\W_]*(?!oh,? no!)(?:(?P<no>(?:{_NO})\b{_AFTER}|(?:{_NO_ALONE}){_ALONE})"
    rf"|(?P<yes>(?:{_YES})\b{_AFTER}|{_YES_ALONE}{_ALONE})"
    rf"|(?P<sure>{_SURE})\b(?=\s*(?:$|[.!,;:\n]|(?:it|they|this|that|he|she|i do)\b(?! not| \w+ not))))",
    re.IGNORECASE,
)
_CUT_OFF = re.compile(rf"\W*{_YES_ALONE}(?: not)?", re.IGNORECASE)
"""Without a full stop, "They are" is the start of a longer sentence."""
_CONDITION = re.compile(r"\W*(?:if|unless)\b", re.IGNORECASE)
_CONCLUSION = re.compile(
    r"(?:\b(?:so|therefore|thus|hence),?|[,;:\u2013\u2014]|\b(?:the|my) answer (?:is|would be):?) \W?(?:yes"
    r"|(?P<no>no))\W*$",
    re.IGNORECASE,
)
_NEXT = re.compile(r"\s*[.!,]?\s+(?P<sentence>[^.!?\n]+)(?:[.!\n]|$)")
_TURNED = re.compile(r"[^.!?\n]*\bbut (?:(?P<yes>yes)|no),? (?:it|this|that|he|she|they|you|i)\b", re.IGNORECASE)
"""Yes, it is rude, but no, it is not wrong."""
_IGNORANT = re.compile(r"\W*i (?:\w+ )?do not (?:really )?know\W*(?:$|[.!\n])", re.IGNORECASE)
_EITHER = re.compile(r"\W*(?:(?:or|and|/)\W*|[,/]\W*(?=\w+\W*$))(?:yes|(?P<no>no))\b", re.IGNORECASE)


@dataclass(frozen=True)
class Lead:
    """A leading yes or no, and the text after it."""

    says: bool | None
    """None for "yes and no", "yes or no"."""
    rest: str


def alone(text: str) -> bool | None:
    """The last yes or no that is a whole sentence or line of a simplified text; None if there is none."""
    says = None
    for sentence in re.findall(r"[^.!?\n]+(?:[.!]|\n|$)", text):
        first = lead(sentence.strip())
        cut_off = _CUT_OFF.fullmatch(sentence.strip()) is not None
        if first is not None and first.says is not None and not cut_off and not re.search(r"\w", first.rest):
            says = first.says
        last = _CONCLUSION.search(sentence)
        if last is not None:
            both = re.search(r"\byes\b", sentence) and re.search(r"\bno\b", sentence)
            if _CONDITION.match(sentence) and (both or (says is not None and says != (last["no"] is None))):
                return None  # If he knew, yes. If not, no.
            says = last["no"] is None
    return says


def lead(text: str) -> Lead | None:
    """The yes or no at the start of a simplified text, after an introduction; None if there is none."""
    said = text
    while True:
        word = _WORD.match(said)
        if word is not None:
            either = _EITHER.match(said[word.end() :])
            if either is not None and (either["no"] is None) == (word["no"] is None):
                either = None  # I believe so, yes.
            rest = said[(word.end() + either.end()) if either else word.end() :]
            if _IGNORANT.match(rest):
                return None
            says = word["no"] is None
            return Lead(None if either or _opposed(says, rest) else says, rest)
        prefix = _PREFIX.match(said)
        if prefix is None or not prefix[0].strip():
            return None
        said = said[prefix.end() :]


def _opposed(says: bool, rest: str) -> bool:
    """Whether the next sentence is nothing but the other word, or the same one turns to it."""
    turned = _TURNED.match(rest)
    if turned is not None and (turned["yes"] is not None) != says:
        return True
    following = _NEXT.match(rest)
    second = lead(following["sentence"]) if following else None
    return second is not None and second.says not in (None, says) and not re.search(r"\w", second.rest)
