"""Results without Snakemake's metadata: copied without `.snakemake`, over others, or after that folder was deleted.

Snakemake then compares only file times and does not notice an edit of the study since the results were made. Their
configuration.json contains the configuration that made them, so this module compares it and reports the edits.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trustdag.artifacts import atomic_file, sha256_text
from trustdag.errors import UserError
from trustdag.layout import Results
from trustdag.seals import MEMORY
from trustdag.settings import NO_RESULT

KNOWN = MEMORY.parent
"""A folder with a file for each study whose results were made or accepted in this working directory.

It holds a digest of each configuration.json that was. Another one came with results that were copied over these.
"""


def say(study: str, present: str) -> None:
    """Prints a warning about results without metadata. Prints nothing if Snakemake has all metadata.

    Args:
        study: The study's name.
        present: The configuration that the results depend on, as JSON.
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
    """Raises UserError for results without metadata that were made with another configuration.

    Args:
        study: The study's name.
        present: The configuration that the results depend on, as JSON.
    """
    if edits := _edits(study, present):
        raise UserError(_unseen(Results.of(study).root, edits))


def mark_known(study: str) -> None:
    """Marks a study as one whose results all have metadata."""
    written = Path(Results.of(study).configuration)
    _note(study, [_digest_of(written)] if written.is_file() else [])


def note_written(study: str, configuration: str) -> None:
    """Takes the configuration that is about to be written for one of this working directory, if all of them are.

    Args:
        study: The study's name.
        configuration: The content of configuration.json.
    """
    if (KNOWN / study).is_file():
        _note(study, [sha256_text([configuration])])


def _note(study: str, digests: list[str]) -> None:
    noted = dict.fromkeys([*_noted(study), *digests])
    with atomic_file(KNOWN / study) as partial:
        partial.write_text("".join(f"{digest}\n" for digest in noted), encoding="utf-8")


def _noted(study: str) -> list[str]:
    mark = KNOWN / study
    return mark.read_text(encoding="utf-8", errors="replace").split() if mark.is_file() else []


def _digest_of(written: Path) -> str:
    return sha256_text([written.read_text(encoding="utf-8", errors="replace")])


def _is_known(study: str, written: Path) -> bool:
    """Whether the results were made here. A mark of an earlier version is empty."""
    noted = _noted(study)
    return _digest_of(written) in noted if noted else (KNOWN / study).is_file()


def _edits(study: str, present: str) -> list[str] | None:
    """The keys that were edited since results without metadata were made; None if there are no such results."""
    written = Path(Results.of(study).configuration)
    if not written.is_file() or _is_known(study, written):
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
