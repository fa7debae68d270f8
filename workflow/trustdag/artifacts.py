"""Files with provenance: atomic writes, manifests, JSON lines."""

import errno
import hashlib
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustdag import __version__
from trustdag.errors import UserError, first_line

if TYPE_CHECKING:
    import pandas as pd

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DISK_FULL_WORDS = (
    *(f"(os error {number})" for number in DISK_FULL),
    *map(os.strerror, DISK_FULL),
    "PytorchStreamWriter failed writing",
    "iostream error",
    "unexpected pos ",
)
"""Messages of libraries without error numbers: safetensors; Arrow and others; torch, for writing and for closing."""
COARSE = 2_000_000_000
"""Nanoseconds in which a file may change twice without a new time, on the coarsest of file systems."""
RECORDED_PACKAGES = ("torch", "transformers", "trl", "accelerate", "datasets", "peft", "pandas", "snakemake")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path next to `path` and renames it to `path` at the end. A kill leaves no incomplete file."""
    with _partial(path.parent, f".{path.name}.", path) as partial:
        yield partial
        sync(partial)
        partial.replace(path)
        sync(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields an empty temporary folder next to `path` that replaces `path` at the end, atomically."""
    with _partial(path.parent, f".{path.name}.", path) as partial:
        partial.mkdir()
        yield partial
        sync_tree(partial)
        if path.exists():
            shutil.rmtree(path)
        partial.replace(path)
        sync(path.parent)


@contextmanager
def atomic_files(folder: Path) -> Iterator[Path]:
    """Yields an empty temporary folder in `folder`. At the end its files are moved to `folder`, replacing older ones.

    They are moved one by one, after all of them were written and synced. Other files in `folder` are not changed.
    """
    with _partial(folder, ".", folder) as partial:
        partial.mkdir()
        yield partial
        sync_tree(partial)
        for file in sorted(partial.iterdir()):
            file.replace(folder / file.name)
        sync(folder)


@contextmanager
def _partial(folder: Path, prefix: str, result: Path) -> Iterator[Path]:
    """A path in `folder` for an unfinished file. Removes such paths of ended processes of this host.

    Raises UserError if the folder is not writable. The message names the result, and not the hidden file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{result}: cannot be written: its folder is read-only, or you may not write there")
    clear_partials(folder, prefix)
    partial = folder / f"{prefix}{_host()}.{os.getpid()}.partial"
    remove(partial)
    try:
        yield partial
    finally:
        remove(partial)


def clear_partials(folder: Path, prefix: str) -> None:
    """Removes the unfinished files and folders of ended processes of this host.

    Args:
        folder: Their folder.
        prefix: Prefix of their names.
    """
    named = re.compile(re.escape(f"{prefix}{_host()}.") + r"(\d+)\.partial")
    for path in folder.iterdir():
        match = named.fullmatch(path.name)
        if match and not Path(f"/proc/{match[1]}").exists():
            remove(path)


def _host() -> str:
    """This machine's name, as a part of a file's name."""
    return socket.gethostname().replace("/", "-").replace(".", "-")


def remove(path: Path) -> None:
    """Removes a file, a link or a whole folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync_tree(folder: Path) -> None:
    """Waits until a folder, and all files and folders in it, are on the disk."""
    for path in [*folder.rglob("*"), folder]:
        if path.is_file() or path.is_dir():
            sync(path)


def sync(path: Path) -> None:
    """Waits until a file, or the entries of a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot sync folders
            raise
    finally:
        os.close(handle)


def disk_is_full(error: BaseException) -> bool:
    """Whether an exception, or one of its causes, means that the disk is full.

    Errors of safetensors and torch have no error number, so their messages are compared.
    """
    cause = error.__cause__ or error.__context__
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return True
    return any(words in str(error) for words in DISK_FULL_WORDS) or (cause is not None and disk_is_full(cause))


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, atomically. NaN and infinity are refused."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_cache(path: Path, value: Any) -> None:
    """As `write_json`. Where a cache cannot be written, as on a full disk, what it holds is computed again."""
    with suppress(UserError, OSError):
        write_json(path, value)


def read_table(path: Path, columns: Iterable[str], what: str) -> "pd.DataFrame":
    """A Parquet file with at least these columns. Raises UserError naming the file if it is not one of `what`.

    Args:
        path: The file.
        columns: Columns that it must have.
        what: The kind of its rows in messages, such as `items`.
    """
    import pandas as pd
    import pyarrow as pa

    if path.exists() and not path.is_file():
        raise UserError(f"{path}: not a regular file")
    try:
        frame = pd.read_parquet(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:  # ValueError: a damaged schema
        raise UserError(
            f"{path}: not a Parquet file of {what}, cut short or damaged ({first_line(error)}); delete it and run"
            " snakemake again"
        ) from None
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise UserError(f"{path}: no column {', '.join(missing)}: not the {what} that are needed here")
    return frame


def write_table(path: Path, frame: "pd.DataFrame") -> None:
    """Writes a Parquet file atomically, with page checksums from which `read_table` detects damage."""
    with atomic_file(path) as partial:
        frame.to_parquet(partial, index=False, write_page_checksum=True)


def append_jsonl(path: Path, record: dict[str, Any]) -> None:
    """Adds one line of JSON to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(record, sort_keys=True) + "\n")


def state_of(path: Path) -> list[int]:
    """Size, time of change and inode of a file: what changes when it is written, replaced or touched.

    The time is the file system's own (`ctime`). A program can put the time of modification back after an edit, but not
    this one.
    """
    facts = path.stat()
    return [facts.st_size, facts.st_ctime_ns, facts.st_ino]


def is_settled(state: list[int]) -> bool:
    """Whether a file of this `state_of` is so old that another change of it gets another time."""
    return time.time_ns() - state[1] > COARSE


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_text(parts: Iterable[str]) -> str:
    """The SHA-256 of several texts in order, with a NUL after each, so that different lists have different digests."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode("utf-8") + b"\0")
    return digest.hexdigest()


def manifest(folder: Path, **facts: Any) -> dict[str, Any]:
    """A model folder's manifest: a digest of all its files, a digest of each file, and `facts` about it.

    Later rules depend only on the first digest, which is also in `digest.txt` in the same folder. So a model that is
    made again and is identical re-runs nothing.
    """
    files = {str(path.relative_to(folder)): sha256_file(path) for path in list_model_files(folder)}
    return {"sha256": manifest_digest(files), "files": files, **facts}


def list_model_files(folder: Path) -> list[Path]:
    """The files of a model folder, by name.

    Hidden files do not count, because Snakemake writes its `.snakemake_timestamp` into a finished folder.
    """
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]


def manifest_digest(files: Mapping[str, str]) -> str:
    """The digest of a model from the digests of its files, without the model card."""
    return sha256_text(f"{name} {digest}" for name, digest in files.items() if not name.endswith(".md"))


def write_digest(path: Path, digest: str) -> None:
    """Writes a digest of content. Later rules depend on this small file, and not on modification times."""
    with atomic_file(path) as partial:
        partial.write_text(digest + "\n", encoding="utf-8")


def read_digest(path: Path) -> str:
    """What `write_digest` wrote; a damaged file holds another digest than any. Raises UserError where it is missing."""
    try:
        return path.read_bytes().decode("ascii", errors="replace").strip()
    except OSError:
        raise UserError(f"{path}: no such file; run snakemake to make it") from None


def model_folder(path: Path) -> Path:
    """The model folder of a path on the command line: the folder, its stage's folder, or manifest or digest of that."""
    stage = path.parent if path.name in ("manifest.json", "digest.txt") else path
    return stage / "model" if (stage / "model").is_dir() else path


def provenance() -> dict[str, Any]:
    """Provenance of a file: version and commit of trustdag, Python, the platform, and the relevant packages."""
    return {
        "trustdag": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in RECORDED_PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The checkout's commit, with `-dirty` if it has changes; None outside a git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]  # fmt: skip
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
