"""Prompt formats: rendering of messages to the text that the assistant's reply continues."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from trustdag.data.source import RAW
from trustdag.data.source import Message as Message
from trustdag.data.transcript import REPLY, hh_transcript
from trustdag.errors import UserError, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PromptFormat = Literal["hh", "plain", "chat"]
OTHER_FORMAT = "set its `prompt_format` (`--prompt-format`) to `hh` or `plain`"
WITHOUT_TEMPLATE = f"edit its chat template (chat_template.jinja), or {OTHER_FORMAT}"
PROBE: tuple[Message, Message, Message] = (
    {"role": "system", "content": 'Trustdag\'s <system> text & "more",\nin two lines'},
    {"role": "user", "content": 'Trustdag\'s <user> text & "more",\nin two lines'},
    {"role": "assistant", "content": 'Trustdag\'s <reply> & "more",\nin two lines'},
)
"""A conversation for tests of a template, with what templates escape, shorten or change."""
THOUGHT_TAG = re.compile(
    r"[<\[]\|?(?P<end>/|end_(?:of_)?)?(?:[a-z]+[:_])*(?:think|thought|reason|reflection|scratchpad)\w*\|?[>\]]",
    re.IGNORECASE,
)
"""`<think>`, `[THINK]`, `<|START_THINKING|>` and `<seed:think>`; `end` is in the tags after a thought."""


def render(messages: Sequence[Message], tokenizer: "PreTrainedTokenizerBase", prompt_format: PromptFormat) -> str:
    """The prompt as text.

    A message with the role `raw` is the whole prompt, unchanged.

    `hh` is Anthropic HH-RLHF's transcript (`\\n\\nHuman: ...\\n\\nAssistant:`, after the system text), `plain` joins
    the contents by a blank line, `chat` is the tokenizer's own template.

    Args:
        messages: A conversation whose next turn is the assistant's.
        tokenizer: The model's tokenizer, whose template `chat` uses.
        prompt_format: Prompt format of the model.

    Returns:
        The text.

    Raises:
        UserError: The template refuses the conversation or leaves a text out, or a text holds a control token.
    """
    if messages[0]["role"] == RAW:
        return messages[0]["content"]
    if prompt_format == "chat":
        return apply_template(messages, tokenizer, add_generation_prompt=True)
    if prompt_format == "plain":
        return "\n\n".join(message["content"] for message in messages)
    return hh_transcript(messages) + REPLY


def apply_template(messages: Sequence[Message], tokenizer: "PreTrainedTokenizerBase", **arguments: Any) -> str:
    """Renders a conversation with the tokenizer's chat template.

    Raises UserError if the template refuses the conversation, or leaves one of its texts out.

    Args:
        messages: the turns of the conversation.
        tokenizer: the tokenizer, which has a chat template.
        arguments: options of `apply_chat_template`.
    """
    name = tokenizer.name_or_path or "the tokenizer"
    for message in messages:
        token = control_token_in(message["content"], tokenizer)
        if token is not None:
            raise UserError(
                f"{name}: a text of the {message['role']} holds {token!r} ({message['content'].strip()[:40]!r}), which "
                f"would be read as the token of that name; remove it from the text, or {OTHER_FORMAT}"
            )
    try:
        text = tokenizer.apply_chat_template(list(messages), tokenize=False, **arguments)
    except Exception as error:  # a stranger's template fails in any way
        roles = ", ".join(message["role"] for message in messages)
        raise UserError(
            f"{name}: its chat template refuses a conversation of {roles} ({first_line(error)}); {WITHOUT_TEMPLATE}"
        ) from error
    for message in messages:
        if message["content"].strip() not in text:
            raise UserError(
                f"{name}: its chat template leaves out the text of the {message['role']} "
                f"({message['content'].strip()[:40]!r}); {WITHOUT_TEMPLATE}"
            )
    return text


def control_token_in(text: str, tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """The name of a special token in a text, which a chat template would turn into the token; None without one.

    In the other formats such a name is tokenized as text.
    """
    return next((token for token in _control_tokens(tokenizer) if token in text), None)


@lru_cache(maxsize=4)
def _control_tokens(tokenizer: "PreTrainedTokenizerBase") -> tuple[str, ...]:
    return tuple(token.content for token in tokenizer.added_tokens_decoder.values() if token.special)


def check_template(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Raises UserError unless the chat template renders the prompts of items and training, always alike."""
    if not tokenizer.chat_template:
        raise UserError(
            f"{tokenizer.name_or_path}: the tokenizer has no chat template; {OTHER_FORMAT}, or add a template"
        )
    apply_template(PROBE[1:], tokenizer)
    if len({_probe(tokenizer) for _ in range(8)}) > 1:
        raise UserError(
            f"{tokenizer.name_or_path}: its chat template writes something else each time; {WITHOUT_TEMPLATE}"
        )
    template = tokenizer.get_chat_template()
    # A macro replaces the function of transformers from which templates get the date.
    days = [f"{{% macro strftime_now(format) %}}{day}{{% endmacro %}}" for day in ("one day", "another day")]
    texts = {_probe(tokenizer, chat_template=day + template) for day in days}
    if len(texts) > 1:
        raise UserError(
            f"{tokenizer.name_or_path}: its chat template writes today's date into every prompt; fix it in the model's "
            'entry, such as `template_arguments: {date_string: "26 Jul 2024"}`, by the name that the template uses'
        )
    if len({_probe(tokenizer, enable_thinking=value) for value in (True, False)}) > 1:
        raise UserError(
            f"{tokenizer.name_or_path}: its chat template asks for thoughts or not; say which in the model's entry: "
            "`template_arguments: {enable_thinking: false}`, or true, with room for thoughts in max_new_tokens"
        )
    _check_start_of_reply(tokenizer)
    _check_thoughts(tokenizer)


def _probe(tokenizer: "PreTrainedTokenizerBase", **arguments: Any) -> str:
    """The prompts of a conversation with a system text and of one without, to which a template may add its own."""
    prompts = (PROBE[:2], PROBE[1:2])
    return "".join(apply_template(prompt, tokenizer, add_generation_prompt=True, **arguments) for prompt in prompts)


def _check_start_of_reply(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Raises UserError for a template that starts a reply by a text that the prompt lacks."""
    prompt = apply_template(PROBE[1:2], tokenizer, add_generation_prompt=True).rstrip()
    whole = apply_template(PROBE[1:], tokenizer)
    start = whole[: whole.rindex(PROBE[2]["content"])]
    lacking = start.removeprefix(prompt).strip()
    if start.startswith(prompt) and lacking and "think" not in lacking:
        raise UserError(
            f"{tokenizer.name_or_path}: its chat template starts a reply by {lacking!r:.60}, which it does not write "
            f"with add_generation_prompt; {WITHOUT_TEMPLATE}"
        )


def _check_thoughts(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Raises UserError for a template whose prompts end inside a thought.

    Replies to such a prompt are trained as thoughts, options are compared as thoughts, and a thought that is cut off
    cannot be told from a reply.
    """
    prompt = apply_template(PROBE[1:2], tokenizer, add_generation_prompt=True)
    after = prompt[prompt.rindex(PROBE[1]["content"]) :]
    tags = list(THOUGHT_TAG.finditer(after))
    if tags and not tags[-1]["end"]:
        raise UserError(
            f"{tokenizer.name_or_path}: its chat template opens a thought ({tags[-1][0]}) in every prompt, so that "
            f"replies would be thoughts; let it close the thought (`template_arguments`), {WITHOUT_TEMPLATE}"
        )


def end_of_turn(tokenizer: "PreTrainedTokenizerBase") -> str:
    """The text of a chat template after an assistant's turn, without white space."""
    return _after_reply(apply_template(PROBE[1:], tokenizer)).strip()


def next_turn(tokenizer: "PreTrainedTokenizerBase") -> str:
    """The text of a chat template between an assistant's turn and the user's next text, without white space at its end.

    It is the end of a reply if the template has no end-of-turn token. Of a text that ends the turn, that alone.
    """
    after = _after_reply(apply_template((*PROBE[1:], PROBE[1]), tokenizer))
    return end_of_turn(tokenizer) or after[: after.rindex(PROBE[1]["content"])].rstrip()


def _after_reply(text: str) -> str:
    """What a template writes after the reply of `PROBE`."""
    reply = PROBE[2]["content"]
    return text[text.rindex(reply) + len(reply) :]


def completion(reply: str, prompt_format: PromptFormat) -> str:
    """The text of a reply after `render`'s text: it starts with a space after `Assistant:`."""
    return f" {reply}" if prompt_format == "hh" else reply
