"""Files from their publishers' own addresses, pinned by SHA-256, stored in a cache, or fetched from a mirror."""

import base64
import gzip
import hashlib
import http.client
import os
import tarfile
import urllib.parse
import urllib.request
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

from trustdag.artifacts import atomic_file
from trustdag.errors import UserError, first_line

MIRROR = "TRUSTDAG_MIRROR"
"""Environment variable with the address of a mirror. It has the file of `https://HOST/PATH` at `MIRROR/HOST/PATH`.

The address may contain a login, as in `https://USER:PASSWORD@HOST/PATH`.
"""
CACHE = "TRUSTDAG_CACHE"
"""Environment variable with the folder of fetched files; by default `~/.cache/trustdag`."""
SECONDS = 60
"""Timeout of a connection, in seconds."""
LARGEST = 300_000_000
"""Bytes of a file, as it comes and unzipped: the largest has a third of it."""


@dataclass(frozen=True)
class PublishedFile:
    """One file of a publisher."""

    name: str
    """The file's name in the cache."""
    address: str
    """The publisher's address, with the commit if it is known. Otherwise only the digest pins the content."""
    sha256: str
    """Digest of its content, unzipped."""
    member: str | None = None
    """End of the file's path in the archive at the address; None if the address is that of the file itself."""

    @property
    def cached(self) -> Path:
        """The file's path in the cache."""
        return cache_folder() / "publishers" / self.sha256[:12] / self.name


def github(repository: str, commit: str, path: str, sha256: str) -> PublishedFile:
    """A file of a GitHub repository.

    Args:
        repository: Owner and name.
        commit: The commit, or a branch if no commit is known.
        path: The file's path in the repository.
        sha256: Digest of its content.
    """
    address = f"https://raw.githubusercontent.com/{repository}/{commit}/{path}"
    return PublishedFile(path.rpartition("/")[2], address, sha256)


def cache_folder() -> Path:
    """The folder of fetched files."""
    return Path(os.environ.get(CACHE) or "~/.cache/trustdag").expanduser()


def fetch(file: PublishedFile) -> Path:
    """The path of the file in the cache, fetched if missing.

    Raises UserError if it cannot be fetched or has another content. The message says where to put the file.
    """
    if file.cached.is_file():
        with file.cached.open("rb") as cached:
            content = _bounded(cached, str(file.cached))
        _check(content, file, f"{file.cached}", "delete it, and it is fetched again")
        return file.cached
    address = _address(file)
    content = _unpacked(_download(address, file), file, address)
    _check(content, file, address, f"put the right file at {file.cached}, or set {MIRROR} to a mirror that has it")
    with atomic_file(file.cached) as partial:
        partial.write_bytes(content)
    return file.cached


def _address(file: PublishedFile) -> str:
    mirror = os.environ.get(MIRROR)
    return f"{mirror.rstrip('/')}/{file.address.partition('://')[2]}" if mirror else file.address


def _download(address: str, file: PublishedFile) -> bytes:
    if not address.startswith(("https://", "http://")):
        named = os.environ[MIRROR].rpartition("@")[2]
        raise UserError(f"{MIRROR}: {named} is no address; write https://HOST/PATH")
    try:
        with urllib.request.urlopen(_request(address), timeout=SECONDS) as answer:  # noqa: S310 - the scheme is checked above
            content = _bounded(answer, address)
            announced = answer.headers.get("Content-Length")
            if announced is not None and len(content) < int(announced):
                raise http.client.IncompleteRead(content, int(announced) - len(content))
            return content
    except (OSError, ValueError, http.client.HTTPException) as error:
        what = file.member or file.name
        raise UserError(
            f"{address}: cannot be fetched ({first_line(error)}); without a network, put {what} at {file.cached}, "
            f"or set {MIRROR} to a mirror that has it"
        ) from error


def _request(address: str) -> urllib.request.Request:
    """The request of an address, with its login as a header, which is not sent on to another host."""
    scheme, _, rest = address.partition("://")
    place, slash, path = rest.partition("/")
    login, _, host = place.rpartition("@")
    request = urllib.request.Request(f"{scheme}://{host}{slash}{path}")  # noqa: S310 - the caller checks the scheme
    if login:
        code = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {code}")
    return request


def _bounded(stream: IO[bytes] | gzip.GzipFile, origin: str) -> bytes:
    """All that a stream holds. Raises UserError for more than `LARGEST` bytes."""
    content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise UserError(f"{origin}: more than {LARGEST:,} bytes, which no file of a publisher has; it is another file")
    return bytes(content)


def _unpacked(content: bytes, file: PublishedFile, address: str) -> bytes:
    """The file's content, extracted if it comes in an archive."""
    if file.member is None:
        return content
    try:
        with tarfile.open(fileobj=BytesIO(content)) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.name.endswith(file.member) else None
                if stream is not None:
                    return _bounded(stream, address)
    except (tarfile.TarError, EOFError) as error:
        raise UserError(f"{address}: a damaged archive ({first_line(error)}); fetch it again") from error
    raise UserError(f"{address}: an archive without {file.member}; put that file at {file.cached}")


def _check(content: bytes, file: PublishedFile, origin: str, mend: str) -> None:
    """Raises UserError unless the content, unzipped, has the file's digest."""
    try:
        zipped = content[:2] == b"\x1f\x8b"
        plain = _bounded(gzip.GzipFile(fileobj=BytesIO(content)), origin) if zipped else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{origin}: damaged ({first_line(error)}); {mend}") from error
    digest = hashlib.sha256(plain).hexdigest()
    if digest != file.sha256:
        raise UserError(f"{origin}: its SHA-256 is {digest}, not {file.sha256}: another version; {mend}")
