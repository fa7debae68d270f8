"""How a model is asked: messages to the text that ends where the assistant's reply starts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from trustdag.data.source import Message as Message
from trustdag.data.transcript import REPLY, hh_transcript

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PromptFormat = Literal["hh", "plain", "chat"]


def render(messages: Sequence[Message], tokenizer: "PreTrainedTokenizerBase", prompt_format: PromptFormat) -> str:
    """The prompt as text.

    `hh` is Anthropic HH-RLHF's transcript (`\\n\\nHuman: ...\\n\\nAssistant:`; a system text stands before it), `plain`
    joins the contents by a blank line, `chat` is the tokenizer's own template.
    """
    if prompt_format == "chat":
        return tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    if prompt_format == "plain":
        return "\n\n".join(message["content"] for message in messages)
    return hh_transcript(messages) + REPLY


def completion(reply: str, prompt_format: PromptFormat) -> str:
    """A reply as it continues `render`'s text: after `Assistant:` it starts with a space."""
    return f" {reply}" if prompt_format == "hh" else reply
