"""Items that are too long for a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustdag.errors import UserError
from trustdag.generation.batches import GenerationRequest
from trustdag.generation.prompts import EncodedItem, encode_items
from trustdag.generation.settings import GenerateSettings
from trustdag.models.dialogue import PromptFormat, render

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class ContextFit:
    """How many items do not fit in a model's context."""

    items: int
    """All items."""
    cut: int
    """Items with replies or options that do not fit."""
    lost: int
    """Items of which nothing fits."""

    @classmethod
    def of(
        cls,
        items: "pd.DataFrame",
        tokenizer: "PreTrainedTokenizerBase",
        prompt_format: PromptFormat,
        settings: GenerateSettings,
        context: int,
    ) -> "ContextFit":
        """Before a model is asked.

        Args:
            items: A vertical's items.
            tokenizer: The model's tokenizer.
            prompt_format: How a prompt is rendered.
            settings: How replies are sampled.
            context: The context length in tokens.

        Raises:
            UserError: The model cannot be asked an item.
        """

        def bytes_of(item: Any) -> int:
            text = render(list(item.messages), tokenizer, prompt_format)
            return max(len(f"{text}{option}".encode()) for option in ("", *item.options))

        # A token is at least one byte: only texts of more bytes need to be tokenized.
        room = context - settings.max_new_tokens
        long = items[[bytes_of(item) > room for item in items.itertuples()]]
        fits = [_fits(item, settings.max_new_tokens, context) for item in encode_items(long, tokenizer, prompt_format)]
        return cls(len(items), sum(not all(parts) for parts in fits), sum(not any(parts) for parts in fits))

    @classmethod
    def of_replies(cls, replies: "pd.DataFrame") -> "ContextFit":
        """After it was asked."""
        too_long = (replies["status"] == "too_long").groupby(replies["item"])
        return cls(replies["item"].nunique(), int(too_long.any().sum()), int(too_long.all().sum()))

    def sentence(self, model: Path, context: int) -> str:
        """What is said of it; empty if all items fit. Raises UserError if nothing of any item fits.

        Args:
            model: The model, for the message.
            context: Its context length in tokens.
        """
        room = f"the context of {model}, which is {context:,} tokens"
        if self.items and self.lost == self.items:
            raise UserError(
                f"none of its {self.items:,} items fits {room}; lower max_new_tokens, or take a model with a longer "
                "context"
            )
        return f"{self.cut:,} of {self.items:,} items do not fit {room}; they count as failed" if self.cut else ""


def _fits(item: EncodedItem, max_new_tokens: int, context: int) -> list[bool]:
    """Whether the item's replies and its options' likelihoods fit."""
    requests = [GenerationRequest(item, (0,))] if item.generate else []
    requests += [GenerationRequest(item, (), True)] if item.options else []
    return [request.fits(max_new_tokens, context) for request in requests]
