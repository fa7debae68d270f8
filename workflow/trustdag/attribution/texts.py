"""The gradients of queries: texts of a vertical as token ids, and weighted sums of their gradients. Imports torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor

from trustdag.attribution.batches import NO_LABEL, Examples, PaddedBatch
from trustdag.attribution.gradients import Gradients, Vectors, traces_of
from trustdag.attribution.queries import Query
from trustdag.attribution.settings import VerticalAttribution
from trustdag.errors import UserError
from trustdag.generation.prompts import encode_items
from trustdag.models.dialogue import PromptFormat, render
from trustdag.models.tokens import encode_replies, end_of_reply

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LARGEST_DRIFT = 0.05
"""Largest share of replies whose text may have another log-probability than the one stored when they were sampled."""
SAME = 0.25
"""Two log-probabilities of one reply are equal up to this difference in nats, times the square root of its tokens.

A GPU samples in bf16, which moved those of SmolLM2-135M by at most .11; in single precision the same moved by .001.
"""


@dataclass(frozen=True)
class EncodedTexts:
    """The texts of one query."""

    examples: Examples
    weights: Tensor
    """(texts,)."""
    groups: Tensor
    """(texts,): the group of clusters that each text belongs to."""
    values: Callable[[Any, PaddedBatch], Tensor]
    """What the weights multiply: log-probabilities, or rewards."""


@dataclass(frozen=True)
class VerticalQuery:
    """A vertical's query with what is needed to attribute and to describe it."""

    query: Query
    encoded: EncodedTexts
    settings: VerticalAttribution
    prompts: list[str]
    """The user's last words before each text."""


def encode_texts(
    query: Query,
    items: pd.DataFrame,
    tokenizer: "PreTrainedTokenizerBase",
    prompt_format: PromptFormat,
    values: Callable[[Any, PaddedBatch], Tensor],
) -> EncodedTexts:
    """The texts of a query as examples.

    A sampled reply that ended includes its end token, because the policy chose that token too. A reply that was cut has
    no end token. An option has none either, as when its likelihood was computed.

    Args:
        query: The query.
        items: The vertical's items.
        tokenizer: The model's tokenizer.
        prompt_format: Prompt format of the model.
        values: Computes what the weights multiply, for each example of a batch.
    """
    encode = _options if query.kind == "options" else _replies
    prompts, replies = encode(query.texts, items, tokenizer, prompt_format)
    return EncodedTexts(
        Examples(prompts, (replies,)),
        torch.tensor(query.texts["weight"].to_numpy(float)),
        torch.tensor(query.texts["group"].to_numpy(int)),
        values,
    )


def closed(encoded: EncodedTexts, end: int) -> EncodedTexts:
    """The texts with an end token each, as the reward model's training and PPO use them."""
    (replies,) = encoded.examples.replies
    ended = [ids if ids and ids[-1] == end else [*ids, end] for ids in replies]
    return replace(encoded, examples=Examples(encoded.examples.prompts, (ended,)))


def _replies(
    texts: pd.DataFrame, items: pd.DataFrame, tokenizer: "PreTrainedTokenizerBase", prompt_format: PromptFormat
) -> tuple[list[list[int]], list[list[int]]]:
    messages = items.set_index("item")["messages"]
    prompts = [render(list(messages[item]), tokenizer, prompt_format) for item in texts["item"]]
    prompt_ids, reply_ids = encode_replies(prompts, texts["reply"].tolist(), tokenizer, prompt_format)
    end = end_of_reply(tokenizer, prompt_format)
    closed = [[*ids, end] if ended else list(ids) for ids, ended in zip(reply_ids, texts["ended"], strict=True)]
    return prompt_ids, closed


def _options(
    texts: pd.DataFrame, items: pd.DataFrame, tokenizer: "PreTrainedTokenizerBase", prompt_format: PromptFormat
) -> tuple[list[list[int]], list[list[int]]]:
    asked = items[items["item"].isin(set(texts["item"]))]
    encoded = {item.item: item for item in encode_items(asked, tokenizer, prompt_format)}
    rows = [(encoded[item], int(option)) for item, option in zip(texts["item"], texts["sample"], strict=True)]
    return [list(item.context) for item, _ in rows], [list(item.options[option]) for item, option in rows]


def gradients_of(gradients: Gradients, queries: Sequence[EncodedTexts], groups: int, block: int, pad: int) -> Vectors:
    """The queries' gradients at the model's present weights: this process's share of the sums over texts.

    Args:
        gradients: The model, its selected layers and their features.
        queries: The texts of each query.
        groups: Groups of clusters; with 1, all texts of a query are one group.
        block: Texts in one backward pass.
        pad: The token that rows are padded with.

    Returns:
        By layer, (queries x groups, features): the groups of one query are adjacent.
    """
    device = next(gradients.model.parameters()).device
    totals: Vectors = {}
    for number, query in enumerate(queries):
        for batch in gradients.processes.share(query.examples.blocks(block, pad)):
            slots = number * groups + query.groups[batch.examples] % groups
            weights = query.weights[batch.examples]
            for trace in traces_of(gradients.model, gradients.layers, batch.to(device), query.values):
                features = gradients.view.features(trace)
                empty = features.new_zeros(len(queries) * groups, features.shape[1])
                total = totals.setdefault(trace.layer.name, empty)
                total.index_add_(0, slots.to(device), weights.to(features)[:, None] * features)
    return totals


@torch.no_grad()
def check_log_probabilities(
    query: Query, encoded: EncodedTexts, stored: pd.Series, model: Any, pad: int, where: str
) -> None:
    """Refuses replies whose text, tokenized again, is not what this model sampled.

    Args:
        query: A query of replies or options of the model itself.
        encoded: Its texts.
        stored: By item, kind and sample, the log-probability that was stored with the reply, without its end token.
        model: The model.
        pad: The token that rows are padded with.
        where: Names the replies, for the message.

    Raises:
        UserError: More than `LARGEST_DRIFT` of the texts have another log-probability.
    """
    from trustdag.attribution.objectives import reply_logprobs

    ended = query.texts["ended"].to_numpy(bool) & (query.kind == "replies")
    replies = [ids[:-1] if closed else ids for ids, closed in zip(encoded.examples.replies[0], ended, strict=True)]
    kept = [number for number, ids in enumerate(replies) if ids]
    bare = Examples([encoded.examples.prompts[number] for number in kept], ([replies[number] for number in kept],))
    device = next(model.parameters()).device
    different = 0
    for batch in bare.blocks(32, pad):
        rows = query.texts.iloc[[kept[number] for number in batch.examples.tolist()]]
        keys = list(zip(rows["item"], rows["kind"], rows["sample"], strict=True))
        expected = torch.tensor(stored.loc[keys].to_numpy(float))
        differences = (reply_logprobs(model, batch.to(device)).cpu().double() - expected).abs()
        different += int((differences > SAME * (batch.labels != NO_LABEL).sum(1).sqrt()).sum())
    if different > LARGEST_DRIFT * len(kept):
        raise UserError(
            f"{where}: the log-probabilities of {different} of {len(kept)} texts differ from the stored ones; the"
            " replies are of another model, or tokenizing their text does not give their tokens; generate again"
        )
