"""Removes what is no part of a reply: thoughts before it, and invented further turns after it."""

import re

from trustdag.verticals.parsers.text import straight

_USER = (
    r"human|user|customer|student|questioner|interviewer|question|instruction|input|prompt|system|person|speaker|h|q"
)
_MODEL = r"assistant|bot|chatbot|model|gpt|response|output"
_OWN = re.compile(
    r"\W*(?:(?:assistant|ai|bot|chatbot|model|gpt|response|output|reply)\s*:|<\|?assistant\|?>)", re.IGNORECASE
)
_THOUGHTS = r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad)"
_THOUGHT = re.compile(
    rf"^(?:(?!<{_THOUGHTS}>).)*</{_THOUGHTS}>|<{_THOUGHTS}>.*?(?:</{_THOUGHTS}>|$)", re.IGNORECASE | re.DOTALL
)
"""A thought in tags. The first may lack its start, which some chat templates write; a last one was cut off."""
_DECORATION = r"[ \t]*(?:[#*_>\-\[(\"']+[ \t]*)*"
_CLOSING = r"[*_\])\"']*"
_NEXT = re.compile(
    # Human: ... at the start of a line, with or without markdown.
    rf"(?:\n|(?<=[.!?\"'])){_DECORATION}(?:{_USER})(?: ?(?:\d+|[ab]))?{_CLOSING}[ \t]*:"
    rf"|\n{_DECORATION}(?:{_MODEL}){_CLOSING}[ \t]*:"
    r"|(?<= )(?-i:Human|User|Assistant): "
    # The prompt of another item.
    r"|\n[ \t]*(?:here is a statement:|a person says:)"
    rf"|(?:^|\n)[ \t]*#{{2,}}[ \t]*(?:{_USER}|{_MODEL})\b"
    # A role's name alone on its line: a chat template whose special tokens were removed.
    r"|(?:\n|(?<=[.!?\"']))[ \t]*(?:user|human|assistant|model|system)[ \t]*(?=\n)"
    # Chat templates' markers, anywhere.
    r"|<\|[^<>|\n]{1,40}\|>|</?s>|\[/?inst\]|<</?sys>>|</?(?:start|end)_of_(?:turn|utterance|text)>|<(?:eos|bos|eot)>"
    r"|</?(?:human|user|bot|assistant|system)>",
    re.IGNORECASE,
)
_PROMPT = re.compile(r"(?:^[^.!?\n]*\?|\banswer (?:yes|no|with|\")[^\n]*)\s*$", re.IGNORECASE)
_MODEL_LABEL = re.compile(rf"[\s#*_>\-]*(?:{_MODEL})\b", re.IGNORECASE)
_USER_FIRST = re.compile(r"\W*(?:human|user|customer|student)\s*:", re.IGNORECASE)


def own_turn(text: str) -> str:
    """The part of a reply after its thoughts and before an invented next turn, in any format.

    The reply's own label, such as `Assistant:`, is removed. A reply that starts with the user's turn becomes empty.
    """
    said = _THOUGHT.sub(" ", straight(text))
    while (label := _OWN.match(said)) is not None:
        said = said[label.end() :]
    if _USER_FIRST.match(said):
        return ""
    said = said.strip()
    following = _NEXT.search(said)
    if following is None:
        return said
    before = said[: following.start()].strip()
    if _PROMPT.search(before) and _MODEL_LABEL.match(following[0]):
        # The model repeated the prompt's end before its own turn.
        return f"{before}\n{own_turn(said[following.start() :])}"
    return before
