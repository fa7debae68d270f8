"""Prompts and replies to token ids: one way for training, generation and scoring, so that they see the same tokens."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trustdag.models.dialogue import Format, Message, completion, render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def encode_prompts(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", style: Format) -> list[list[int]]:
    """The ids of `render`ed prompts. A chat template writes its special tokens itself; else the tokenizer adds them."""
    return tokenizer(list(texts), add_special_tokens=style != "chat")["input_ids"]


def encode_replies(
    prompts: Sequence[str], replies: Sequence[str], tokenizer: "PreTrainedTokenizerBase", style: Format
) -> tuple[list[list[int]], list[list[int]]]:
    """The ids of prompts and of the replies (as `completion` writes them) that continue them, without an end-of-text.

    A prompt's ids are those that generation starts from, whatever the reply. A reply's ids are read off the joint text;
    where its first token would merge with the prompt's last one, the reply is tokenised alone.
    """
    prompt_ids = encode_prompts(prompts, tokenizer, style)
    joint_ids = encode_prompts([p + r for p, r in zip(prompts, replies, strict=True)], tokenizer, style)
    reply_ids = []
    for prompt, joint, reply in zip(prompt_ids, joint_ids, replies, strict=True):
        if joint[: len(prompt)] == prompt:
            reply_ids.append(joint[len(prompt) :])
        else:
            reply_ids.append(tokenizer(reply, add_special_tokens=False)["input_ids"])
    return prompt_ids, reply_ids


def encode_conversations(
    conversations: Sequence[Sequence[Message]],
    replies: Sequence[str],
    tokenizer: "PreTrainedTokenizerBase",
    style: Format,
) -> tuple[list[list[int]], list[list[int]]]:
    """The ids of conversations that wait for the assistant and of whole replies, each closed by the end-of-text."""
    prompts = [render(messages, tokenizer, style) for messages in conversations]
    texts = [completion(reply, style) for reply in replies]
    prompt_ids, reply_ids = encode_replies(prompts, texts, tokenizer, style)
    return prompt_ids, [[*ids, tokenizer.eos_token_id] for ids in reply_ids]
