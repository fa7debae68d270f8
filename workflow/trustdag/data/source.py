"""Types and settings of all sources of preference data: pairs, dropped records, settings of preparation."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, TypedDict, get_args

from pydantic import Field, model_validator

from trustdag.settings import Count, Section, Seed

Reason = Literal["malformed", "further_turns", "empty", "identical", "over_length", "duplicate"]
REASONS: tuple[Reason, ...] = get_args(Reason)


RAW = "raw"
"""The role of a text that is not a turn: the prompt is this text alone, in every format."""


class Message(TypedDict):
    """One turn: `role` is system, user or assistant."""

    role: str
    content: str


class Pair(TypedDict):
    """Two replies to one prompt, the first preferred. The prompt's last message is the user's."""

    prompt: list[Message]
    chosen: str
    rejected: str
    source: str
    """File and line, or the generator's record."""


@dataclass(frozen=True)
class Drop:
    """A record that cannot become a training pair: its position, the reason it is counted under, and an explanation."""

    source: str
    reason: Reason
    why: str


class NotAPair(ValueError):  # noqa: N818 - a fact about a record, not a failure of the program
    """A record that is not a pair; `reason` is the reason it is counted under."""

    def __init__(self, why: str, reason: Reason = "malformed") -> None:
        super().__init__(why)
        self.reason: Reason = reason


Parts = tuple[list[Message], str, str]
"""A prompt's messages, the chosen and the rejected reply."""


def pair_or_drop(source: str, parse: Callable[[Any], Parts], record: Any) -> Pair | Drop:
    """The pair in a record, with stripped replies, or the reason why there is none.

    Args:
        source: File and line, or the generator's record.
        parse: Reads a record; raises NotAPair if it is not a pair.
        record: The record.
    """
    try:
        prompt, chosen, rejected = parse(record)
    except NotAPair as fact:
        return Drop(source, fact.reason, str(fact))
    return Pair(prompt=prompt, chosen=chosen.strip(), rejected=rejected.strip(), source=source)


def text_of(record: dict[str, Any], key: str) -> str:
    """The text of a key. Raises NotAPair if it is missing, not a text, or cannot be encoded as UTF-8."""
    if key not in record:
        raise NotAPair(f"no key `{key}` (keys: {', '.join(map(repr, sorted(record))) or 'none'})")
    if not isinstance(record[key], str):
        raise NotAPair(f"`{key}` is {type(record[key]).__name__}, not text")
    try:
        record[key].encode()
    except UnicodeEncodeError:
        raise NotAPair(f"`{key}` holds half a surrogate pair, which is no character") from None
    return record[key]


def dialogue(turns: Iterable[Message]) -> list[Message]:
    """The turns, stripped. Consecutive turns of one speaker are joined by a blank line, so that roles alternate.

    Chat templates need alternating roles. Raises NotAPair unless a user has the first turn, after at most one system
    text.
    """
    messages: list[Message] = []
    for turn in turns:
        role, content = turn["role"], turn["content"].strip()
        if messages and messages[-1]["role"] == role:
            content = f"{messages.pop()['content']}\n\n{content}".strip()
        messages.append({"role": role, "content": content})
    spoken = messages[1:] if messages and messages[0]["role"] == "system" else messages
    if any(turn["role"] == "system" for turn in spoken):
        raise NotAPair("a system text comes after the first turn")
    if not spoken or spoken[0]["role"] != "user":
        raise NotAPair("the first turn is not the user's")
    return messages


class SourceSettings(Section):
    """Settings of all sources: limits of the pairs, and their splits."""

    RENAMED: ClassVar[dict[str, str]] = {"licence": "license"}

    source: str
    """The format: a module in `data`."""
    license: str | None = None
    """License of the data, for the data card and the model cards, such as `MIT`."""
    limit: Count | None = None
    """Number of pairs after which reading stops. None: all."""
    max_prompt_characters: Count = 8000
    """Longest prompt, all its messages together. A pair with a longer one is dropped and counted, never truncated."""
    max_reply_characters: Count = 4000
    """Longest reply. A pair with a longer one, chosen or rejected, is dropped and counted, never truncated."""
    max_malformed: float = Field(0.01, ge=0, le=1)
    """Largest share of malformed records. With a larger share preparation fails, as the file has another format."""
    validation: float = Field(0.05, ge=0, lt=1)
    """Share of conversations in the validation split. Training needs one; use 0 only for a corpus."""
    test: float = Field(0.05, ge=0, lt=1)
    """Share of conversations in the test split."""
    split_seed: Seed = 0
    """Seed of the hash that assigns each conversation to a split."""

    @model_validator(mode="after")
    def _train_is_left(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation + test = {self.validation + self.test:g} leaves nothing to train on")
        return self
