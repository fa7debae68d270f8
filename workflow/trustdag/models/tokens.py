"""Prompts and replies to token ids: one way for training, generation and scoring, so that they see the same tokens."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trustdag.models.dialogue import Message, PromptFormat, completion, render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def encode_prompts(
    texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", prompt_format: PromptFormat
) -> list[list[int]]:
    """The ids of `render`ed prompts. A chat template writes its special tokens itself; else the tokenizer adds them."""
    return tokenizer(list(texts), add_special_tokens=prompt_format != "chat")["input_ids"]


def encode_replies(
    prompts: Sequence[str], replies: Sequence[str], tokenizer: "PreTrainedTokenizerBase", prompt_format: PromptFormat
) -> tuple[list[list[int]], list[list[int]]]:
    """The ids of prompts and of the replies (as `completion` writes them) that continue them, without an end-of-text.

    A prompt's ids are those that generation starts from, whatever the reply. A reply's ids are read off the joint text;
    where its first token would merge with the prompt's last one, the reply is tokenised alone.
    """
    prompt_ids = encode_prompts(prompts, tokenizer, prompt_format)
    joint_ids = encode_prompts([p + r for p, r in zip(prompts, replies, strict=True)], tokenizer, prompt_format)
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
    prompt_format: PromptFormat,
) -> tuple[list[list[int]], list[list[int]]]:
    """The ids of conversations that wait for the assistant and of whole replies, each closed by the end-of-text."""
    prompts = [render(messages, tokenizer, prompt_format) for messages in conversations]
    texts = [completion(reply, prompt_format) for reply in replies]
    prompt_ids, reply_ids = encode_replies(prompts, texts, tokenizer, prompt_format)
    return prompt_ids, [[*ids, tokenizer.eos_token_id] for ids in reply_ids]
