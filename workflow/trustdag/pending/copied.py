"""Results whose making Snakemake does not know: copied without `.snakemake`, or with that folder deleted.

Snakemake then compares times alone: an edit of the study between the run that made them and this one is not seen. The
study that they were made with stands in their configuration.json, so that what cannot be seen can be said.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trustdag.artifacts import atomic_file
from trustdag.errors import UserError
from trustdag.layout import Results
from trustdag.settings import NO_RESULT

KNOWN = Path(".snakemake") / "trustdag"
"""Holds an empty file for each study whose results were made, or taken over, in this working directory."""


def say(study: str, present: str) -> None:
    """Prints what Snakemake cannot know of results that were not made here; nothing where it knows all.

    Args:
        study: The study's name.
        present: The configuration that results follow from, as JSON.
    """
    edits = _edits(study, present)
    if edits is None:
        return
    root = Results.of(study).root
    if edits:
        print(f"trustdag: {_unseen(root, edits)}", file=sys.stderr)
        return
    print(
        f"trustdag: {root}: made elsewhere or before .snakemake was deleted, with the present configuration; Snakemake"
        " compares times alone and does not see whether the code was edited since",
        file=sys.stderr,
    )


def refuse_edited(study: str, present: str) -> None:
    """Raises UserError for results of another configuration whose making Snakemake does not know.

    Args:
        study: The study's name.
        present: The configuration that results follow from, as JSON.
    """
    if edits := _edits(study, present):
        raise UserError(_unseen(Results.of(study).root, edits))


def mark_known(study: str) -> None:
    """Notes that Snakemake knows what made all results of a study."""
    with atomic_file(KNOWN / study) as partial:
        partial.touch()


def _edits(study: str, present: str) -> list[str] | None:
    """The keys that were edited since unknown results were made; None where all is known or nothing was made."""
    written = Path(Results.of(study).configuration)
    if (KNOWN / study).is_file() or not written.is_file():
        return None
    try:
        before = json.loads(written.read_bytes())
    except (ValueError, RecursionError):
        return ["all of it: the file is damaged"]
    if not isinstance(before, dict):
        return ["all of it: the file is damaged"]
    return sorted(_different(before, json.loads(present), ()))


def _different(before: Any, after: Any, key: tuple[str, ...]) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() | after.keys():
            if name not in NO_RESULT:
                yield from _different(before.get(name), after.get(name), (*key, name))
    elif before != after:
        yield ".".join(key)


def _unseen(root: str, edits: list[str]) -> str:
    shown = ", ".join(edits[:5]) + (", ..." if len(edits) > 5 else "")
    written = f"{root}/configuration.json"
    return (
        f"{root}: made elsewhere or before .snakemake was deleted, so Snakemake does not see what was edited since"
        f" ({written} has other values of {shown}); undo the edit, or bring that .snakemake along, or delete {root}."
        f" Delete {written} alone to take all that is there for this study's"
    )
