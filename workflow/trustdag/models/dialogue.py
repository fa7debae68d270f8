"""How a model is asked: messages to the text that ends where the assistant's reply starts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Format = Literal["hh", "plain", "chat"]


class Message(TypedDict):
    """One turn: `role` is system, user or assistant."""

    role: str
    content: str


def render(messages: Sequence[Message], tokenizer: "PreTrainedTokenizerBase", style: Format) -> str:
    """The prompt as text.

    `hh` is Anthropic HH-RLHF's transcript (`\\n\\nHuman: ...\\n\\nAssistant:`; a system text stands before it), `plain`
    joins the contents by a blank line, `chat` is the tokenizer's own template.
    """
    if style == "chat":
        return tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    if style == "plain":
        return "\n\n".join(message["content"] for message in messages)
    return hh_transcript(messages) + "\n\nAssistant:"


def hh_transcript(messages: Sequence[Message]) -> str:
    """The turns as HH-RLHF writes them, each after a blank line and its speaker's name."""
    speakers = {"system": "", "user": "\n\nHuman: ", "assistant": "\n\nAssistant: "}
    return "".join(speakers[message["role"]] + message["content"] for message in messages)


def completion(reply: str, style: Format) -> str:
    """A reply as it continues `render`'s text: after `Assistant:` it starts with a space."""
    return f" {reply}" if style == "hh" else reply
