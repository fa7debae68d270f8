"""The files of a source: on this machine, or on the Hugging Face hub at a pinned commit."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from trustdag.errors import UserError
from trustdag.hub import dataset_files

Paths = str | tuple[str, ...]
"""One file, one folder, or several of them."""


def local(paths: Paths, suffixes: Sequence[str]) -> dict[str, Path]:
    """The files of `paths`, in order, by a name that does not depend on their folder.

    A folder means all files below it with one of `suffixes`, without hidden ones. Raises UserError for a missing file.
    """
    entries = [entry for path in several(paths) for entry in _expand(expanded(path), suffixes)]
    if not entries:
        raise UserError("path: the list is empty; name at least one file or folder")
    uses = Counter(name for name, _ in entries)
    return {name if uses[name] == 1 else str(path): path for name, path in entries}


def several(paths: Paths) -> tuple[str, ...]:
    """One or several, as a tuple."""
    return (paths,) if isinstance(paths, str) else paths


def expanded(path: str) -> Path:
    """A path with `~` replaced. Raises UserError for the home of a user who does not exist."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{path}: no such user; correct `path`") from None


def _expand(path: Path, suffixes: Sequence[str]) -> list[tuple[str, Path]]:
    if path.is_dir():
        files = sorted(
            file
            for file in path.rglob("*")
            if file.name.endswith(tuple(suffixes)) and _is_data(file.relative_to(path)) and file.is_file()
        )
        if not files:
            raise UserError(f"{path}: the folder holds no {' or '.join(suffixes)} file")
        return [(file.relative_to(path).as_posix(), file) for file in files]
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; correct `path`")
    if not path.is_file():
        raise UserError(f"{path}: not a regular file; correct `path`")
    if not path.name.endswith(tuple(suffixes)):
        raise UserError(f"{path}: not a {' or '.join(suffixes)} file; convert it or choose another `source`")
    return [(path.name, path)]


def _is_data(path: Path) -> bool:
    """Whether a file below a folder is not hidden: macOS and Jupyter leave hidden copies next to data."""
    return not any(part.startswith(".") for part in path.parts)


def hub(name: str, revision: str, files: Sequence[str]) -> dict[str, Path]:
    """Files of a data set on the hub, from the local cache if they are in it.

    Args:
        name: The data set.
        revision: Its commit.
        files: Paths in the data set.

    Returns:
        The local file of each path.

    Raises:
        UserError: The hub cannot be reached or does not have a file. The message says how to use local files.
    """
    paths = dataset_files(name, revision, files, "give local files as `path: FILE_OR_FOLDER`")
    return dict(zip(files, paths, strict=True))
