"""The data card: numbers of records read and dropped, with reasons; lengths of the pairs; digests of the files."""

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trustdag.artifacts import sha256_file
from trustdag.data.source import REASONS, Drop, Pair
from trustdag.errors import UserError
from trustdag.jsonfiles import EVERY, read_object

EXAMPLES = 5
"""Number of dropped records that the card lists for each reason."""


def table_digest(path: Path) -> str:
    """The digest of a table of prepared data, which must agree with the data card beside it, if there is one.

    Raises UserError if it does not, and names what to delete.
    """
    digest, card = sha256_file(path), path.with_name("card.json")
    written = read_object(card, {"sha256?": {EVERY: str}}, "a data card").get("sha256", {}) if card.is_file() else {}
    if written.get(path.name, digest) != digest:
        raise UserError(
            f"{path}: not as {card.name} has it; the data is damaged or was changed by hand: delete {path.parent} and"
            " run snakemake again"
        )
    return digest


@dataclass
class RecordCounts:
    """How many records were read, kept and dropped, and why."""

    read: int = 0
    kept: int = 0
    dropped: dict[str, list[Drop]] = field(default_factory=lambda: {reason: [] for reason in REASONS})
    """The first few of each reason."""
    counts: Counter[str] = field(default_factory=Counter)

    def drop(self, drop: Drop) -> None:
        """Counts a dropped record."""
        self.counts[drop.reason] += 1
        if len(self.dropped[drop.reason]) < EXAMPLES:
            self.dropped[drop.reason].append(drop)

    def summary(self) -> str:
        """Such as `2,000 records read, 1,990 kept; dropped: 6 empty, 4 further_turns`."""
        dropped = ", ".join(f"{self.counts[reason]:,} {reason}" for reason in REASONS if self.counts[reason])
        return f"{self.read:,} records read, {self.kept:,} kept; dropped: {dropped or 'none'}"

    def facts(self) -> dict[str, Any]:
        """Entries of the card: counts by reason, and the positions of the first records of each."""
        return {
            "read": self.read,
            "kept": self.kept,
            "dropped": {
                reason: {
                    "count": self.counts[reason],
                    "first": [{"source": drop.source, "why": drop.why} for drop in drops],
                }
                for reason, drops in self.dropped.items()
            },
        }


@dataclass
class Lengths:
    """The sizes of one split's pairs: characters, and messages without the system text."""

    prompts: set[str] = field(default_factory=set)
    turns: Counter[int] = field(default_factory=Counter)
    prompt: "array[int]" = field(default_factory=lambda: array("L"))
    chosen: "array[int]" = field(default_factory=lambda: array("L"))
    rejected: "array[int]" = field(default_factory=lambda: array("L"))

    def add(self, prompt_id: str, pair: Pair) -> None:
        """Counts a pair."""
        self.prompts.add(prompt_id)
        self.turns[sum(message["role"] == "user" for message in pair["prompt"])] += 1
        self.prompt.append(sum(len(message["content"]) for message in pair["prompt"]))
        self.chosen.append(len(pair["chosen"]))
        self.rejected.append(len(pair["rejected"]))

    def facts(self) -> dict[str, Any]:
        """Entries of the card. `chosen_longer`: share of pairs whose chosen reply has more characters (ties: half)."""
        facts: dict[str, Any] = {"pairs": len(self.prompt), "prompts": len(self.prompts)}
        if facts["pairs"]:
            facts["user_turns"] = {str(turns): count for turns, count in sorted(self.turns.items())}
            facts["chosen_longer"] = _share_longer(self.chosen, self.rejected)
            facts["characters"] = {
                "prompt": distribution(self.prompt),
                "chosen": distribution(self.chosen),
                "rejected": distribution(self.rejected),
            }
        return facts


@dataclass
class Texts:
    """The size of the corpus."""

    texts: int = 0
    characters: int = 0

    def add(self, text: str) -> None:
        """Counts a text."""
        self.texts += 1
        self.characters += len(text)

    def facts(self) -> dict[str, Any]:
        """For the card."""
        return {"texts": self.texts, "characters": self.characters}


def distribution(values: Iterable[int]) -> dict[str, float]:
    """Mean and percentiles of one or more numbers."""
    import numpy as np

    numbers = np.fromiter(values, dtype=np.int64)
    percentiles = {"min": 0, "p5": 5, "p25": 25, "median": 50, "p75": 75, "p95": 95, "max": 100}
    rounded = {name: round(float(np.percentile(numbers, percent)), 1) for name, percent in percentiles.items()}
    return {"mean": round(float(numbers.mean()), 1), **rounded}


def _share_longer(chosen: "array[int]", rejected: "array[int]") -> float:
    wins = sum(
        1.0 if one > other else 0.5 if one == other else 0.0 for one, other in zip(chosen, rejected, strict=True)
    )
    return round(wins / len(chosen), 4)


def file_facts(files: dict[str, Path]) -> list[dict[str, Any]]:
    """Name, size in bytes and SHA-256 of files."""
    return [{"name": name, "bytes": path.stat().st_size, "sha256": sha256_file(path)} for name, path in files.items()]
