"""Items to token ids: how prompts and options are encoded for a model, and where a reply ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trustdag.errors import UserError
from trustdag.models.dialogue import PromptFormat, completion, render
from trustdag.models.tokens import continuation_ids, encode_prompts

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedTokenizerBase

Ids = tuple[int, ...]


@dataclass(frozen=True)
class EncodedItem:
    """One item in token ids."""

    item: str
    generate: bool
    prompt: Ids
    """The prompt of sampled replies."""
    context: Ids
    """The context of options: the prompt without white space at its end."""
    options: tuple[Ids, ...]
    texts: tuple[str, ...]
    """The options as text."""


def encode_items(
    items: "pd.DataFrame", tokenizer: "PreTrainedTokenizerBase", prompt_format: PromptFormat
) -> list[EncodedItem]:
    """Tokenizes the items.

    As in lm-evaluation-harness, prompt and option are tokenized together, and the ids after the prompt's ids are the
    option's. White space at the prompt's end belongs to the option.

    Args:
        items: A vertical's items, with the columns `tables.ITEM_COLUMNS`.
        tokenizer: The model's tokenizer.
        prompt_format: How a prompt is rendered.

    Returns:
        One encoded item for each row, in order.

    Raises:
        UserError: The prompt or an option of an item has no token.
    """
    if items.empty:
        return []
    texts = [render(list(messages), tokenizer, prompt_format) for messages in items["messages"]]
    options = [tuple(item_options) for item_options in items["options"]]
    prompts = encode_prompts(texts, tokenizer, prompt_format)
    bare = [text.rstrip() for text in texts]
    contexts = prompts if bare == texts else encode_prompts(bare, tokenizer, prompt_format)
    joint = [
        text + _continuation(text, option, prompt_format)
        for text, item_options in zip(texts, options, strict=True)
        for option in item_options
    ]
    whole = iter(zip(joint, encode_prompts(joint, tokenizer, prompt_format) if joint else [], strict=True))
    encoded = []
    for item, generate, prompt, context, start, item_options in zip(
        items["item"], items["generate"], prompts, contexts, bare, options, strict=True
    ):
        if not context:
            raise UserError(f"item {item}: its prompt has no token; remove the item or give it a text")
        ids = []
        for option in item_options:
            text, both = next(whole)
            ids.append(tuple(continuation_ids(context, both, text[len(start) :], tokenizer)))
            if not ids[-1]:
                raise UserError(f"item {item}: its option {option!r} has no token; an option must have a text")
        encoded.append(EncodedItem(item, bool(generate), tuple(prompt), tuple(context), tuple(ids), item_options))
    return encoded


def _continuation(prompt: str, option: str, prompt_format: PromptFormat) -> str:
    """The text of an option after the prompt; in plain format a space separates the two."""
    if prompt_format == "plain" and prompt and not prompt[-1].isspace() and not option[:1].isspace():
        return f" {option}"
    return completion(option, prompt_format)


def until_stop(text: str, stop: Sequence[str]) -> int | None:
    """The index of the first stop text, or None."""
    starts = [start for start in (text.find(stop_text) for stop_text in stop) if start >= 0]
    return min(starts, default=None)
