"""Preference sets made from another set of the study: a random part of it, or the set without some pairs.

Only the training pairs change. Validation, test and the corpus of a base model are those of the parent set.
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
"""Files that are the same as in the parent set."""


class By(Section):
    """The attribution that decides which pairs are dropped."""

    stage: Literal["sft", "dpo", "ppo"]
    """Method of the last stage of the attributed policy."""
    vertical: str
    """The vertical."""
    recipe: str | None = None
    """The policy's recipe; None: the first one that ends with this method."""
    model: str | None = None
    """The base model; None: the study's first."""
    seed: Seed | None = None
    """The training seed; None: the study's first."""


class Pruned(Section):
    """A preference set without the pairs that changed a vertical most."""

    source: Literal["pruned"]
    """A set from which pairs are dropped by their attribution scores."""
    of: str
    """The parent set."""
    by: By
    """The attribution with the scores."""
    drop: float = Field(0.1, gt=0, lt=1)
    """Share of the training pairs to drop."""
    toward: Literal["worse", "better"] = "worse"
    """Drop the pairs that made the vertical worse, or those that made it better."""
    choose: Literal["score", "random"] = "score"
    """Drop by score, or the same number of pairs at random."""
    control: Literal["random"] | None = None
    """`random` adds a set NAME-random, from which the same number of pairs is dropped at random."""
    seed: Seed = 0
    """Seed of a random choice."""


class Subset(Section):
    """A random part of a preference set."""

    source: Literal["subset"]
    """A random part of the training pairs of another set."""
    of: str
    """The parent set."""
    share: float = Field(0.5, gt=0, lt=1)
    """Share of the training pairs to keep."""
    seed: Seed = 0
    """Seed of the choice."""


Derived = Pruned | Subset
AnyDerived = Annotated[Derived, Field(discriminator="source")]


def with_controls(preferences: dict[str, Any]) -> dict[str, Any]:
    """Raw settings of preference sets. After each set with a random control, the control is added."""
    every: dict[str, Any] = {}
    for name, settings in preferences.items():
        every[name] = settings
        if isinstance(settings, dict) and settings.get("source") == "pruned" and settings.get("control") == "random":
            every[f"{name}-random"] = {**settings, "control": None, "choose": "random"}
    return every


def derive(
    settings: Derived, parent: Path, out: Path, attribution: Path | None, direction: str | None
) -> dict[str, int]:
    """Writes a derived preference set with its card.

    Args:
        settings: Settings of the derived set.
        parent: The folder of the parent set.
        out: The folder to write.
        attribution: The scores by which pairs are dropped, for a pruned set.
        direction: The better direction of the attributed metric, `lower` or `higher`; for a pruned set.

    Returns:
        The numbers of training pairs of the parent set and of kept ones.

    Raises:
        UserError: No pair would be left, or the attribution is of other data.
    """
    train = parent / "train.parquet"
    count = len(read_table(train, ("prompt_id",), "preference pairs"))
    dropped = dropped_rows(settings, count, train, attribution, direction)
    if len(dropped) >= count:
        raise UserError(f"{train}: no pair of {count} would be left; keep a larger share")
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
    """The rows of train.parquet that are dropped.

    Args:
        settings: Settings of the derived set.
        count: Rows of train.parquet.
        train: The file; the attribution contains its digest.
        attribution: The scores, for a pruned set.
        direction: The better direction, for a pruned set.
    """
    import numpy as np

    shuffled = np.random.default_rng(settings.seed).permutation(count)
    if isinstance(settings, Subset):
        return frozenset(shuffled[round(settings.share * count) :].tolist())
    size = round(settings.drop * count)
    if settings.choose == "random":
        return frozenset(shuffled[:size].tolist())
    if attribution is None or direction is None:
        raise UserError("--attribution and --direction: a pruned set needs the scores and the better direction")
    table = read_table(attribution, ("row", "score"), "an attribution")
    made_of = table.attrs.get("made_from", {}).get("data")
    if made_of is not None and made_of != sha256_file(train):
        raise UserError(f"{attribution}: the scores are of other pairs than {train}; delete it and run snakemake again")
    # A pair with a positive score raised the metric, which is worse if lower is better.
    raises_first = (direction == "lower") == (settings.toward == "worse")
    ordered = table.sort_values(["score", "row"], ascending=[not raises_first, True])
    return frozenset(ordered["row"].head(size).tolist())
