"""Digests for the detection of damaged and changed files: sealed folders, models with their manifest, source files."""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trustdag.artifacts import (
    is_settled,
    list_model_files,
    manifest_digest,
    remove,
    sha256_file,
    sha256_text,
    state_of,
    sync_tree,
    write_cache,
)
from trustdag.errors import UserError
from trustdag.jsonfiles import EVERY, read_cache, read_object

SEAL = "digests.json"
"""The file of a sealed folder with the size and the digest of every other file."""
REMEMBERED = ".digests.json"
"""Cache of the digests of files by name, with the state of each file; that of a model lies beside its manifest."""

CACHED = re.compile(r"[0-9a-f]{64}")
"""Prefix of names in Snakemake's cache between studies."""


# --- Sealed folders ---


def seal(folder: Path) -> None:
    """Writes size and digest of each file of a folder to its seal, and syncs the folder to the disk."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    facts = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": sha256_file(path)} for path in paths
    }
    (folder / SEAL).write_text(json.dumps(facts, indent=2), encoding="utf-8")
    sync_tree(folder)


def damage(folder: Path) -> str | None:
    """Describes the first file of a sealed folder that differs from its seal; None if the folder is undamaged."""
    try:
        facts = json.loads((folder / SEAL).read_bytes())
        sealed = {folder / name: (fact["bytes"], fact["sha256"]) for name, fact in facts.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return f"{SEAL} is missing or not readable"
    for path, (size, digest) in sealed.items():
        name = path.relative_to(folder)
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} of {size} bytes"
        if sha256_file(path) != digest:
            return f"{name} is not as it was written"
    return None


def set_aside(folder: Path, wrong: str, consequence: str) -> None:
    """Renames a damaged folder, so that it is not read, and prints a message on stderr.

    Args:
        folder: The folder.
        wrong: The result of `damage`.
        consequence: The consequence for the message, such as `training goes on from an earlier one`.
    """
    aside = folder.with_name(f"damaged-{folder.name}")
    remove(aside)
    folder.replace(aside)
    print(f"{folder} is damaged ({wrong}): set aside as {aside.name}; {consequence}", file=sys.stderr, flush=True)


def whole(folder: Path, consequence: str) -> bool:
    """Whether a sealed folder exists and is undamaged. A damaged one is renamed (see `set_aside`)."""
    if not folder.exists():
        return False
    wrong = damage(folder)
    if wrong is not None:
        set_aside(folder, wrong, consequence)
    return wrong is None


# --- Source files ---


MEMORY = Path(".snakemake") / "trustdag" / REMEMBERED
"""Cache of the digests of the user's files, in the working directory of a workflow."""


def content_of_sources(paths: Iterable[str], memory: Path = MEMORY) -> str:
    """The digests of the content of a rule's source files by name, as JSON. Snakemake tracks it as a parameter.

    Snakemake itself compares times, and does not notice a file that replaces another one and is older than the result:
    after `mv`, `cp -p`, `rsync -t` or unpacking.

    Args:
        paths: The files.
        memory: The cache of digests, so that a large file is read once. It stays unchanged if it cannot be written.
    """
    files = [Path(path) for path in paths]
    known = _read_memory(memory) if files else {}
    noted = dict(known)
    digests: dict[str, str] = {}
    for path in files:
        place = str(path.absolute())
        fact = _fact(path, known.get(place, {}))
        if is_settled(fact["file"]):
            noted[place] = fact
        # Without the folder, because the same study may lie elsewhere. Files of one name are digested together.
        digests[path.name] = sha256_text([digests.get(path.name, ""), fact["sha256"]])[:16]
    if noted != known and os.access(memory.parent.parent, os.W_OK):
        write_cache(memory, noted)
    return json.dumps(digests)


def refuse_edited_sources(paths: Iterable[str], content: str) -> None:
    """Raises UserError if source files have another content than when their run began.

    The result would be stored under the content of the run's begin.

    Args:
        paths: The files.
        content: Their `content_of_sources` then.
    """
    present, begun = json.loads(content_of_sources(paths)), json.loads(content)
    for name in sorted(present.keys() | begun.keys()):
        if present.get(name) != begun.get(name):
            raise UserError(f"{name}: edited since this run began; start it again: what is finished stays")


# --- Models ---


def model_digest(folder: Path) -> str:
    """The digest of a model's files, computed from their content, which must agree with the manifest.

    A model that the workflow did not make has no manifest and is not checked. Digests are cached by the state of
    each file, so that a large model is read once and not by each job.

    Raises:
        UserError: A file differs from the manifest. The message names it, and what to delete.
    """
    folder = folder.absolute()
    expected = _files_of_manifest(folder)
    if expected is None:
        return manifest_digest(_digests(folder, {}))
    memory = folder.parent / REMEMBERED
    digests = _digests(folder, _read_memory(memory))
    if _differs(digests, expected):
        digests = _digests(folder, {})  # the cache itself may be damaged
    for name in _differs(digests, expected):
        raise UserError(
            f"{folder / name}: {_difference(name, digests, expected)}; the model is damaged or was changed by hand:"
            f" delete {_to_delete(folder, name)} and run snakemake again"
        )
    remember(folder, digests, memory)
    return manifest_digest(digests)


def remember(folder: Path, digests: dict[str, str], memory: Path) -> None:
    """Writes the digests of a model's files to the cache, with the state of each file.

    Args:
        folder: The model folder.
        digests: The digest of each file by name.
        memory: The cache file. It stays unchanged if nothing changed or it cannot be written.
    """
    known = {name: {"sha256": digest, "file": state_of(folder / name)} for name, digest in digests.items()}
    if known != _read_memory(memory) and os.access(memory.parent, os.W_OK):
        write_cache(memory, known)


def _digests(folder: Path, memory: dict[str, Any]) -> dict[str, str]:
    _drop_copy_of_cache(folder)
    digests = {}
    for path in list_model_files(folder):
        name = str(path.relative_to(folder))
        digests[name] = str(_fact(path, memory.get(name, {}))["sha256"])
    return digests


def _drop_copy_of_cache(folder: Path) -> None:
    """Removes the second copy that Snakemake's cache leaves if two studies store one model at the same time.

    The folder of the second study is then moved into that of the first one, under the same name.
    """
    copy = folder.resolve() / folder.resolve().name
    if folder.is_symlink() and copy.is_dir():
        shutil.rmtree(copy, ignore_errors=True)


def _fact(path: Path, noted: dict[str, Any]) -> dict[str, Any]:
    """Digest and state of a file, as the cache of digests holds them: as noted, if the file has not changed since."""
    state = state_of(path)  # before the file is read: a change meanwhile is seen by the next look
    return noted if noted.get("file") == state else {"sha256": sha256_file(path), "file": state}


def _files_of_manifest(folder: Path) -> dict[str, str] | None:
    """The files' digests in the manifest of a model folder; None without a manifest of trustdag."""
    path = folder.parent / "manifest.json"
    if folder.name != "model" or not path.is_file():
        return None
    mend = f"delete {folder.parent} and run snakemake again"
    files: dict[str, str] = read_object(path, {"files": {EVERY: str}}, "a model's manifest", mend)["files"]
    return files


def _read_memory(path: Path) -> dict[str, Any]:
    return read_cache(path, {EVERY: {"sha256": str, "file": list}})


def _differs(digests: dict[str, str], expected: dict[str, str]) -> list[str]:
    """The files that differ from the manifest, without the model card."""
    names = sorted(expected.keys() | digests.keys())
    return [name for name in names if not name.endswith(".md") and digests.get(name) != expected.get(name)]


def _difference(name: str, digests: dict[str, str], expected: dict[str, str]) -> str:
    if name not in digests:
        return "missing, though manifest.json names it"
    return "not as manifest.json has it" if name in expected else "not named by manifest.json"


def _to_delete(folder: Path, name: str) -> str:
    """The paths to delete: the stage's folder, and the model in the cache between studies, which would be restored."""
    kept = next((parent for parent in (folder / name).resolve().parents if CACHED.match(parent.name)), None)
    return str(folder.parent) if kept is None else f"{folder.parent} and {kept.parent / kept.name[:64]}*"
