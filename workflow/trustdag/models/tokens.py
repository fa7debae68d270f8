"""Tokenization of prompts and replies, the same for training, generation and scoring."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trustdag.models.dialogue import Message, PromptFormat, completion, end_of_turn, next_turn, render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SPEAKERS = ("\n\nHuman:", "\n\nAssistant:")
"""The start of a turn in the format `hh`."""


def encode_prompts(
    texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", prompt_format: PromptFormat
) -> list[list[int]]:
    """The ids of `render`ed prompts.

    A chat template contains its special tokens. In the other formats the tokenizer adds special tokens at the start but
    not at the end, because a reply follows; and `<|endoftext|>` in a text is text, not the token.

    Args:
        texts: The prompts.
        tokenizer: The model's tokenizer.
        prompt_format: How the model is asked.

    Returns:
        The ids of each prompt.
    """
    if prompt_format == "chat":
        return tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    ids = tokenizer(list(texts), split_special_tokens=True)["input_ids"]
    added = _added_at_the_end(tokenizer)
    return [row[: len(row) - added] for row in ids] if added else ids


def _added_at_the_end(tokenizer: "PreTrainedTokenizerBase") -> int:
    """Number of special tokens that the tokenizer adds after a text."""
    whole, bare = (tokenizer("a", add_special_tokens=added)["input_ids"] for added in (True, False))
    starts = [start for start in range(len(whole)) if whole[start : start + len(bare)] == bare]
    return len(whole) - starts[0] - len(bare) if starts else 0


def encode_replies(
    prompts: Sequence[str], replies: Sequence[str], tokenizer: "PreTrainedTokenizerBase", prompt_format: PromptFormat
) -> tuple[list[list[int]], list[list[int]]]:
    """The ids of prompts and of their replies (in the form of `completion`), without an end-of-text token.

    Args:
        prompts: Prompts as text.
        replies: One reply to each prompt.
        tokenizer: The model's tokenizer.
        prompt_format: How the model is asked.

    Returns:
        The ids of each prompt, which are the same as in generation and independent of the reply; the ids of each reply.
    """
    prompt_ids = encode_prompts(prompts, tokenizer, prompt_format)
    joint_ids = encode_prompts([p + r for p, r in zip(prompts, replies, strict=True)], tokenizer, prompt_format)
    return prompt_ids, [
        continuation_ids(prompt, joint, reply, tokenizer)
        for prompt, joint, reply in zip(prompt_ids, joint_ids, replies, strict=True)
    ]


def continuation_ids(
    prompt: Sequence[int], joint: Sequence[int], reply: str, tokenizer: "PreTrainedTokenizerBase"
) -> list[int]:
    """The ids of a text after a prompt, from the tokenization of both together.

    If its first token would merge with the prompt's last one, the text is tokenized alone. The name of a special token
    in it is text.

    Args:
        prompt: Ids of the prompt.
        joint: Ids of prompt and text together.
        reply: The text.
        tokenizer: The model's tokenizer.

    Returns:
        The ids of the text.
    """
    if list(joint[: len(prompt)]) == list(prompt):
        return list(joint[len(prompt) :])
    return tokenizer(reply, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def encode_conversations(
    conversations: Sequence[Sequence[Message]],
    replies: Sequence[str],
    tokenizer: "PreTrainedTokenizerBase",
    prompt_format: PromptFormat,
) -> tuple[list[list[int]], list[list[int]]]:
    """The ids of conversations whose next turn is the assistant's, and of whole replies with their end tokens.

    Args:
        conversations: Messages of each conversation.
        replies: One reply to each conversation.
        tokenizer: The model's tokenizer.
        prompt_format: How the model is asked.

    Returns:
        The ids of each prompt and of each reply.
    """
    prompts = [render(messages, tokenizer, prompt_format) for messages in conversations]
    texts = [completion(reply, prompt_format) for reply in replies]
    prompt_ids, reply_ids = encode_replies(prompts, texts, tokenizer, prompt_format)
    end = end_of_reply(tokenizer, prompt_format)
    return prompt_ids, [[*ids, end] for ids in reply_ids]


def end_of_reply(tokenizer: "PreTrainedTokenizerBase", prompt_format: PromptFormat) -> int:
    """The token at the end of a reply in training: in `chat` the special token after an assistant's turn.

    In the other formats, and if the template has no special token there, it is the tokenizer's end-of-text token.
    """
    if prompt_format != "chat" or not tokenizer.chat_template:
        return tokenizer.eos_token_id
    token = _end_of_turn_token(tokenizer)
    return tokenizer.eos_token_id if token is None else token


def _end_of_turn_token(tokenizer: "PreTrainedTokenizerBase") -> int | None:
    ids = tokenizer(end_of_turn(tokenizer), add_special_tokens=False)["input_ids"]
    return ids[0] if ids and ids[0] in tokenizer.added_tokens_decoder else None


def stop_texts(tokenizer: "PreTrainedTokenizerBase", prompt_format: PromptFormat) -> tuple[str, ...]:
    """Texts that end a sampled reply, in addition to the model's end tokens: the start of the next turn.

    In `hh` the model may not have learned to end its reply. In `chat` the template may have no token for it.
    """
    if prompt_format == "hh":
        return SPEAKERS
    if prompt_format == "chat" and tokenizer.chat_template and _end_of_turn_token(tokenizer) is None:
        return tuple(filter(None, [next_turn(tokenizer)]))
    return ()


def end_tokens(
    tokenizer: "PreTrainedTokenizerBase", generation_config: Any, prompt_format: PromptFormat
) -> tuple[int, ...]:
    """The tokens at which a sampled reply ends.

    Args:
        tokenizer: The model's tokenizer.
        generation_config: The model's `GenerationConfig`, whose end tokens count in `chat` if they are special tokens;
            or None.
        prompt_format: How the model is asked.

    Returns:
        Ids without repetition. The first one ends replies in training.
    """
    if prompt_format != "chat":
        return (tokenizer.eos_token_id,)
    configured = getattr(generation_config, "eos_token_id", None)
    ids = [configured] if isinstance(configured, int) else list(configured or ())
    special = [token for token in ids if token in tokenizer.added_tokens_decoder]
    return tuple(dict.fromkeys([end_of_reply(tokenizer, prompt_format), tokenizer.eos_token_id, *special]))
