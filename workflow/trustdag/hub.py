"""Downloads from the Hugging Face hub, always at a pinned commit, through the hub's own cache."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from trustdag.errors import UserError, first_line

Repository = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
"""A repository of the hub, such as `EleutherAI/pythia-1.4b`."""
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
"""A commit, 40 hexadecimal digits. Branches and tags are refused, because they can change."""


def dataset_files(repository: str, revision: str, files: Sequence[str], instead: str) -> list[Path]:
    """Files of a data set, from the local cache if they are in it.

    Args:
        repository: The data set.
        revision: Its commit.
        files: Paths in the data set.
        instead: How to use local files, for the error.

    Returns:
        The local files, in the order of `files`.

    Raises:
        UserError: The hub cannot be reached, or does not have a file.
    """
    from huggingface_hub import hf_hub_download

    def download(file: str) -> Path:
        try:
            return Path(hf_hub_download(repository, file, repo_type="dataset", revision=revision))
        except _failures() as error:
            raise _cannot_fetch(f"data set {repository}, {file}", revision, error, instead) from error

    return [download(file) for file in files]


def are_cached(repository: str, revision: str, files: Sequence[str]) -> bool:
    """Whether files of a data set are in the local cache.

    Args:
        repository: The data set.
        revision: Its commit.
        files: Paths in the data set.
    """
    from huggingface_hub import try_to_load_from_cache

    paths = [try_to_load_from_cache(repository, file, repo_type="dataset", revision=revision) for file in files]
    return all(isinstance(path, str) for path in paths)


def model_folder(repository: str, revision: str, endings: Sequence[str], instead: str) -> Path:
    """The folder of a model, from the local cache if it is in it.

    Args:
        repository: The model.
        revision: Its commit.
        endings: Suffixes of the files to fetch.
        instead: How to use a local folder, for the error.

    Returns:
        The local folder.

    Raises:
        UserError: The hub cannot be reached, or does not have the model.
    """
    from huggingface_hub import snapshot_download

    patterns = [f"*{ending}" for ending in endings]
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except _failures() as error:
        raise _cannot_fetch(repository, revision, error, instead) from error


def cached_model(repository: str, revision: str, endings: Sequence[str]) -> Path | None:
    """The folder of a model in the local cache, without network access; None unless all its files are there.

    Args:
        repository: The model.
        revision: Its commit.
        endings: Suffixes of its files.
    """
    from huggingface_hub import snapshot_download

    patterns = [f"*{ending}" for ending in endings]
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns, local_files_only=True))
    except _failures():
        return None


def _failures() -> tuple[type[Exception], ...]:
    """The exceptions of the hub's client for a file that it cannot fetch."""
    import httpx2

    return (OSError, ValueError, httpx2.HTTPError)  # the client's own errors are OSErrors


def _cannot_fetch(what: str, revision: str, error: Exception, instead: str) -> UserError:
    return UserError(
        f"{what} at {revision}: cannot be fetched from the hub ({first_line(error)}); without a network, {instead}"
    )
