"""Preference pairs as token ids: what is too long is dropped and counted, never cut."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustdag.artifacts import read_table
from trustdag.errors import UserError
from trustdag.models.dialogue import PromptFormat
from trustdag.models.tokens import encode_conversations
from trustdag.train.settings import SupervisedSettings
from trustdag.train.stage import Stage

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedTokenizerBase

Ids = list[list[int]]


@dataclass(frozen=True)
class EncodedReplies:
    """Pairs that fit, as token ids. Each reply is closed by the end-of-text token."""

    prompts: Ids
    replies: dict[str, Ids]
    """By column (`chosen`, `rejected`), aligned with `prompts`."""
    too_long: int
    """Pairs that were dropped because prompt and reply exceed the longest length."""
    rows: list[int]
    """The pairs' rows in their file."""

    def __len__(self) -> int:
        return len(self.prompts)

    def joined(self, column: str) -> Ids:
        """Prompt and reply as one sequence."""
        return [prompt + reply for prompt, reply in zip(self.prompts, self.replies[column], strict=True)]


def read_pairs(path: Path, limit: int | None = None) -> "pd.DataFrame":
    """The pairs of a canonical Parquet file, at most `limit` from the top. Raises UserError if it has none."""
    frame = read_table(path, ("prompt", "chosen", "rejected"), "preference pairs")
    if frame.empty:
        raise UserError(f"{path}: holds no pairs")
    return frame.head(limit) if limit else frame


def splits(
    stage: Stage, settings: SupervisedSettings, columns: tuple[str, ...], tokenizer: "PreTrainedTokenizerBase"
) -> dict[str, EncodedReplies]:
    """The stage's training and validation pairs as token ids.

    Args:
        stage: Where the data and the prompt format come from.
        settings: The longest length, and how many validation pairs are read.
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
    }


def encode(
    path: Path,
    columns: tuple[str, ...],
    tokenizer: "PreTrainedTokenizerBase",
    prompt_format: PromptFormat,
    max_length: int,
    limit: int | None = None,
) -> EncodedReplies:
    """The pairs of a file whose prompt and reply fit, for the reply of each column.

    Args:
        path: Canonical Parquet file of pairs.
        columns: Replies to encode: `chosen`, `rejected` or both.
        tokenizer: The policy's tokenizer.
        prompt_format: How the prompt is rendered.
        max_length: Longest prompt and reply together, in tokens.
        limit: Pairs to read from the top of the file; None: all.

    Raises:
        UserError: The file has no pairs, or none fits.
    """
    frame = read_pairs(path, limit)
    prompts: Ids = []
    replies: dict[str, Ids] = {}
    for column in columns:
        prompts, replies[column] = encode_conversations(
            frame["prompt"].tolist(), frame[column].tolist(), tokenizer, prompt_format
        )
    fits = [
        all(len(prompt) + len(replies[column][row]) <= max_length for column in columns)
        for row, prompt in enumerate(prompts)
    ]
    if not any(fits):
        raise UserError(f"{path}: none of {len(fits)} pairs fits max_length {max_length}; raise it")
    return EncodedReplies(
        prompts=_where(fits, prompts),
        replies={column: _where(fits, ids) for column, ids in replies.items()},
        too_long=len(fits) - sum(fits),
        rows=[row for row, kept in enumerate(fits) if kept],
    )


def _where(keep: list[bool], rows: Ids) -> Ids:
    return [row for kept, row in zip(keep, rows, strict=True) if kept]
