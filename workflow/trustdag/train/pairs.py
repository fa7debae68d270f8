"""Preference pairs as token ids. Pairs that are too long are dropped and counted, never truncated."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustdag.artifacts import read_table
from trustdag.errors import UserError
from trustdag.models.dialogue import PromptFormat, control_token_in
from trustdag.models.tokens import encode_conversations
from trustdag.train.settings import SupervisedSettings
from trustdag.train.stage import Stage

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedTokenizerBase

Ids = list[list[int]]
REPLIES = ("chosen", "rejected")


@dataclass(frozen=True)
class EncodedReplies:
    """Pairs that fit, as token ids. Each reply ends with the end-of-text token."""

    prompts: Ids
    replies: dict[str, Ids]
    """By column (`chosen`, `rejected`), aligned with `prompts`."""
    too_long: int
    """Pairs that were dropped because prompt and reply exceed `max_length`."""
    rows: list[int]
    """The pairs' rows in their file."""
    control_tokens: int = 0
    """Pairs that were dropped because a text contains the name of a control token and the format is `chat`."""

    def __len__(self) -> int:
        return len(self.prompts)

    def longest(self) -> int:
        """Tokens of the longest example: prompt and reply, once for each column."""
        return max(
            sum(len(prompt) + len(reply) for reply in replies)
            for prompt, *replies in zip(self.prompts, *self.replies.values(), strict=True)
        )

    def joined(self, column: str) -> Ids:
        """Prompt and reply as one sequence."""
        return [prompt + reply for prompt, reply in zip(self.prompts, self.replies[column], strict=True)]


def read_pairs(path: Path, limit: int | None = None) -> "pd.DataFrame":
    """The pairs of a canonical Parquet file, at most the first `limit`. Raises UserError if it has none."""
    frame = read_table(path, ("prompt", "chosen", "rejected"), "preference pairs")
    if frame.empty:
        raise UserError(f"{path}: holds no pairs")
    return frame.head(limit) if limit else frame


def splits(
    stage: Stage, settings: SupervisedSettings, columns: tuple[str, ...], tokenizer: "PreTrainedTokenizerBase"
) -> dict[str, EncodedReplies]:
    """The stage's training and validation pairs as token ids.

    Args:
        stage: The stage, with its data and prompt format.
        settings: The longest length, and the number of validation pairs.
        columns: Replies to encode: `chosen`, `rejected` or both.
        tokenizer: The policy's tokenizer.

    Returns:
        The pairs that fit, by split: `train` and `validation`.
    """
    limits = {"train": None, "validation": settings.validation_pairs}
    return {
        split: encode(
            stage.data / f"{split}.parquet", columns, tokenizer, stage.prompt_format, settings.max_length, limit
        )
        for split, limit in limits.items()
    }


def counts(pairs: dict[str, EncodedReplies]) -> dict[str, Any]:
    """How many pairs were used and dropped, for the model card."""
    return {
        "pairs_used": {split: len(replies) for split, replies in pairs.items()},
        "pairs_too_long": {split: replies.too_long for split, replies in pairs.items()},
        "pairs_with_control_tokens": {split: replies.control_tokens for split, replies in pairs.items()},
    }


def say_dropped(pairs: dict[str, EncodedReplies], max_length: int) -> None:
    """Prints the number of dropped pairs of each split, with the reason."""
    for split, replies in pairs.items():
        dropped = {
            f"longer than max_length {max_length}": replies.too_long,
            "with control tokens": replies.control_tokens,
        }
        count = len(replies) + sum(dropped.values())
        for why, number in dropped.items():
            if number:
                print(
                    f"{split}: {number:,} of {count:,} pairs ({number / count:.0%}) are left out: {why}",
                    file=sys.stderr, flush=True,
                )  # fmt: skip


def encode(
    path: Path,
    columns: tuple[str, ...],
    tokenizer: "PreTrainedTokenizerBase",
    prompt_format: PromptFormat,
    max_length: int,
    limit: int | None = None,
) -> EncodedReplies:
    """Encodes the pairs of a file of which the prompt with each reply fits.

    A pair is dropped if either reply is too long, also if only the other is encoded. So all stages of a comparison
    train on the same pairs.

    Args:
        path: Canonical Parquet file of pairs.
        columns: Replies to encode: `chosen`, `rejected` or both.
        tokenizer: The policy's tokenizer.
        prompt_format: How the prompt is rendered.
        max_length: Longest prompt and reply together, in tokens.
        limit: Number of pairs to read from the start of the file; None: all.

    Raises:
        UserError: The file has no pairs, or none fits.
    """
    frame = read_pairs(path, limit)
    all_pairs = len(frame)
    if prompt_format == "chat":
        frame = frame[[_is_plain(row, tokenizer) for row in frame.to_dict("records")]]
    prompts: Ids = []
    replies: dict[str, Ids] = {}
    for column in REPLIES:
        prompts, replies[column] = encode_conversations(
            frame["prompt"].tolist(), frame[column].tolist(), tokenizer, prompt_format
        )
    fits = [
        all(len(prompt) + len(ids[row]) <= max_length for ids in replies.values()) for row, prompt in enumerate(prompts)
    ]
    if not any(fits):
        raise UserError(f"{path}: none of {all_pairs} pairs fits max_length {max_length}; raise it")
    return EncodedReplies(
        prompts=_where(fits, prompts),
        replies={column: _where(fits, replies[column]) for column in columns},
        too_long=len(fits) - sum(fits),
        control_tokens=all_pairs - len(fits),
        rows=[int(row) for row, kept in zip(frame.index, fits, strict=True) if kept],
    )


def _is_plain(row: Mapping[Any, Any], tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether no text of a pair contains the name of a control token."""
    texts = [*(message["content"] for message in row["prompt"]), *(row[column] for column in REPLIES)]
    return all(control_token_in(text, tokenizer) is None for text in texts)


def _where(keep: list[bool], rows: Ids) -> Ids:
    return [row for kept, row in zip(keep, rows, strict=True) if kept]
