"""HH-RLHF's transcripts (`\\n\\nHuman: ...\\n\\nAssistant: ...`) and the shared prompt of two transcripts."""

import re
from collections.abc import Sequence

from trustdag.data.source import Message, NotAPair, dialogue

REPLY = "\n\nAssistant:"
"""The text before an assistant's turn."""
ROLES = {"Human": "user", "Assistant": "assistant"}
TURN = re.compile(r"\n\n(Human|Assistant):")


def normalised(text: str) -> str:
    """A transcript with line feeds only, and with the blank line before its first turn, which some copies lack."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    bare = text.lstrip()
    return f"\n\n{bare}" if bare.startswith(("Human:", "Assistant:")) else text


def shared_prompt(chosen: str, rejected: str) -> tuple[str, str, str]:
    """The prompt and the two replies: `prompt + REPLY + reply` is each transcript, character by character.

    The prompt ends at the last `\\n\\nAssistant:` up to which both transcripts are equal. (The code of Rafailov et al.
    2023 takes the last one of the chosen transcript, which is wrong if they differ earlier.) Raises NotAPair if there
    is none.

    Returns:
        The prompt up to the assistant's last shared turn, and the rest of both transcripts.
    """
    end = len(chosen)
    while (start := chosen.rfind(REPLY, 0, end)) >= 0:
        reply = start + len(REPLY)
        if rejected.startswith(chosen[:reply]):
            return chosen[:start], chosen[reply:], rejected[reply:]
        end = reply - 1
    if REPLY not in chosen or REPLY not in rejected:
        raise NotAPair("no `\\n\\nAssistant:` turn in a transcript")
    raise NotAPair("the transcripts share no prompt up to an `\\n\\nAssistant:`")


def messages(text: str) -> list[Message]:
    """The turns of a transcript. Raises NotAPair for text before the first turn, or if they are no `dialogue`."""
    before, *turns = TURN.split(text)
    if before.strip():
        raise NotAPair("there is text before the first `\\n\\nHuman:`")
    roles = [ROLES[speaker] for speaker in turns[::2]]
    return dialogue(Message(role=role, content=said) for role, said in zip(roles, turns[1::2], strict=True))


def pair_of(chosen: str, rejected: str) -> tuple[list[Message], str, str]:
    """The prompt's messages and the two replies of two whole transcripts.

    Raises NotAPair if they do not share a prompt, or if a reply has further turns: then the transcripts differ before
    their last exchange, and the judge compared conversations and not two replies to one prompt.

    Returns:
        The prompt's messages, the chosen and the rejected reply.
    """
    prompt, chosen, rejected = shared_prompt(normalised(chosen), normalised(rejected))
    turns = messages(prompt)
    if turns[-1]["role"] != "user" or TURN.search(chosen) or TURN.search(rejected):
        raise NotAPair("a reply holds further turns", "further_turns")
    return turns, chosen, rejected


def hh_transcript(turns: Sequence[Message]) -> str:
    """The turns in HH-RLHF's format: each after a blank line and its speaker's name; a system text comes first."""
    speakers = {"system": "", "user": "\n\nHuman: ", "assistant": "\n\nAssistant: "}
    return "".join(speakers[turn["role"]] + turn["content"] for turn in turns)
