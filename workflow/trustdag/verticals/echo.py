"""Removes the parts of a reply that repeat its prompt, because they are not the model's own words."""

import re

RUN = 4
"""This many consecutive words that the prompt contains too are an echo."""
_WORD = re.compile(r"[\w']+")


def without_echo(reply: str, prompt: str) -> tuple[str, bool]:
    """The reply without its echoes of the prompt.

    Args:
        reply: The model's reply.
        prompt: The prompt that it continues.

    Returns:
        The rest of the reply, and whether anything was an echo.
    """
    asked = [word.lower() for word in _WORD.findall(prompt)]
    said = list(_WORD.finditer(reply))
    length = min(RUN, len(asked))
    if not length or len(said) < length:
        return reply, False
    runs = {tuple(asked[start : start + length]) for start in range(len(asked) - length + 1)}
    words = [word[0].lower() for word in said]
    echoed = [False] * len(said)
    for start in range(len(said) - length + 1):
        if tuple(words[start : start + length]) in runs:
            echoed[start : start + length] = [True] * length
    if not any(echoed):
        return reply, False
    return _kept(reply, said, echoed), True


def _kept(reply: str, said: list[re.Match[str]], echoed: list[bool]) -> str:
    """The reply without the echoed words and the characters between them."""
    kept, end = [], 0
    for number, (word, is_echo) in enumerate(zip(said, echoed, strict=True)):
        if is_echo:
            if number == 0 or not echoed[number - 1]:
                kept.append(reply[end : word.start()])
            end = word.end()
    return re.sub(r"^[^\w]+", "", "".join([*kept, reply[end:]]))
