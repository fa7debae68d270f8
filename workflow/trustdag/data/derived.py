"""Preference sets that are made from another one of the study: a random part of it, or what is left without some pairs.

Only the training pairs change: validation, test and the corpus of a base model are those of the set that it is made of.
"""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from trustdag.artifacts import atomic_files, read_table, sha256_file, sha256_text, write_digest, write_json
from trustdag.data.card import Lengths
from trustdag.data.tables import Table, pairs_schema, rows
from trustdag.errors import UserError
from trustdag.jsonfiles import read_object
from trustdag.settings import Section, Seed

KEPT_FILES = ("validation.parquet", "test.parquet", "corpus.parquet")
"""What is the same as in the set that another one is made of."""


class By(Section):
    """Which attribution says what is dropped."""

    stage: Literal["sft", "dpo", "ppo"]
    """Method of the last stage of the attributed policy."""
    vertical: str
    """The vertical."""
    recipe: str | None = None
    """The policy's recipe; None: the first that ends with that method."""
    model: str | None = None
    """The base model; None: the study's first."""
    seed: Seed | None = None
    """The training seed; None: the study's first."""


class Pruned(Section):
    """What is left of a preference set without the pairs that moved a vertical most."""

    source: Literal["pruned"]
    """The set that another one leaves when pairs are dropped by their attribution."""
    of: str
    """The preference set that it is made of."""
    by: By
    """The attribution by whose scores pairs are dropped."""
    drop: float = Field(0.1, gt=0, lt=1)
    """Share of the training pairs that is dropped."""
    toward: Literal["worse", "better"] = "worse"
    """Drop the pairs that made the vertical worse, or those that made it better."""
    choose: Literal["score", "random"] = "score"
    """Drop by score, or as many pairs at random."""
    control: Literal["random"] | None = None
    """`random` adds a set NAME-random, from which as many pairs are dropped at random."""
    seed: Seed = 0
    """Seed of a random choice."""


class Subset(Section):
    """A random part of a preference set."""

    source: Literal["subset"]
    """A random part of the training pairs of another set."""
    of: str
    """The preference set that it is a part of."""
    share: float = Field(0.5, gt=0, lt=1)
    """Share of the training pairs that is kept."""
    seed: Seed = 0
    """Seed of the choice."""


Derived = Pruned | Subset
AnyDerived = Annotated[Derived, Field(discriminator="source")]


def with_controls(preferences: dict[str, Any]) -> dict[str, Any]:
    """Raw settings of preference sets, with the random control of each that asks for one after it."""
    every: dict[str, Any] = {}
    for name, settings in preferences.items():
        every[name] = settings
        if isinstance(settings, dict) and settings.get("source") == "pruned" and settings.get("control") == "random":
            every[f"{name}-random"] = {**settings, "control": None, "choose": "random"}
    return every


def derive(
    settings: Derived, parent: Path, out: Path, attribution: Path | None, direction: str | None
) -> dict[str, int]:
    """Writes a derived preference set, with a card that says what it was made of.

    Args:
        settings: What is kept.
        parent: The folder of the set that it is made of.
        out: The folder to write.
        attribution: The scores by which pairs are dropped, for a pruned set.
        direction: `lower` or `higher`, whichever is better for the attributed number; for a pruned set.

    Returns:
        How many training pairs there were, and how many are kept.

    Raises:
        UserError: No pair would be left, or the attribution is of other data.
    """
    train = parent / "train.parquet"
    count = len(read_table(train, ("prompt_id",), "preference pairs"))
    dropped = dropped_rows(settings, count, train, attribution, direction)
    if len(dropped) >= count:
        raise UserError(f"{train}: {count} pairs are too few: none would be left; keep a larger share")
    with atomic_files(out) as folder:
        lengths = Lengths()
        with Table(folder / "train.parquet", pairs_schema()) as table:
            for row, pair in enumerate(rows(train)):
                if row not in dropped:
                    table.add(pair)
                    lengths.add(pair["prompt_id"], pair)  # type: ignore[arg-type]
        for name in KEPT_FILES:
            shutil.copyfile(parent / name, folder / name)
        card = read_object(parent / "card.json", {"splits": dict}, "a data card")
        card["settings"] = settings.model_dump(mode="json")
        card["splits"]["train"] = lengths.facts()
        card["derived"] = {"of": settings.of, "pairs": count, "dropped": len(dropped)}
        card["sha256"] = {path.name: sha256_file(path) for path in sorted(folder.glob("*.parquet"))}
        write_json(folder / "card.json", card)
        write_digest(folder / "digest.txt", sha256_text(card["sha256"].values()))
    return {"pairs": count, "kept": count - len(dropped)}


def dropped_rows(
    settings: Derived, count: int, train: Path, attribution: Path | None, direction: str | None
) -> Collection[int]:
    """The rows of train.parquet that are left out.

    Args:
        settings: What is kept.
        count: Rows of train.parquet.
        train: The file, whose digest the attribution names.
        attribution: The scores, for a pruned set.
        direction: Which is better, for a pruned set.
    """
    import numpy as np

    shuffled = np.random.default_rng(settings.seed).permutation(count)
    if isinstance(settings, Subset):
        return frozenset(shuffled[round(settings.share * count) :].tolist())
    size = round(settings.drop * count)
    if settings.choose == "random":
        return frozenset(shuffled[:size].tolist())
    if attribution is None or direction is None:
        raise UserError("--attribution and --direction: a pruned set needs the scores and which way is better")
    table = read_table(attribution, ("row", "score"), "an attribution")
    made_of = table.attrs.get("made_from", {}).get("data")
    if made_of is not None and made_of != sha256_file(train):
        raise UserError(f"{attribution}: the scores are of other pairs than {train}; delete it and run snakemake again")
    # A positive score: the pair raised the number. Where lower is better, that made it worse.
    raises_first = (direction == "lower") == (settings.toward == "worse")
    ordered = table.sort_values(["score", "row"], ascending=[not raises_first, True])
    return frozenset(ordered["row"].head(size).tolist())
