"""Benchmarks come from their publishers' addresses, or a mirror, with the content that their digest names."""

import base64
import gzip
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer

import pytest

from trustdag.errors import UserError
from trustdag.publishers import CACHE, MIRROR, PublishedFile, fetch, github
from trustdag.verticals.sources import bias, ethics, toxicity, truthfulness
from trustdag.verticals.sources.base import PublisherItems

TEXT = b"label,input\n0,I helped.\n"
SHA256 = hashlib.sha256(TEXT).hexdigest()
FILE = github("owner/benchmark", "0" * 40, "data/test.csv", SHA256)
ARCHIVE = PublishedFile("test.csv", "https://publisher.example/all.tar", SHA256, member="data/test.csv")


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a mirror on this machine, and an empty cache."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(MIRROR, f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    yield folder
    server.shutdown()
    server.server_close()


def publish(mirror: Path, file: PublishedFile, content: bytes) -> None:
    """Puts a file where the mirror has it."""
    path = mirror / file.address.removeprefix("https://")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def tar_of(name: str, content: bytes) -> bytes:
    """An archive of one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_a_file_is_fetched_once_and_then_taken_from_the_cache(mirror: Path) -> None:
    publish(mirror, FILE, TEXT)
    first = fetch(FILE)
    (mirror / FILE.address.removeprefix("https://")).unlink()
    assert fetch(FILE) == first
    assert first.read_bytes() == TEXT


def test_a_file_comes_out_of_its_archive(mirror: Path) -> None:
    publish(mirror, ARCHIVE, tar_of("benchmark/data/test.csv", TEXT))
    assert fetch(ARCHIVE).read_bytes() == TEXT


def test_a_zipped_copy_of_a_mirror_is_the_same_file(mirror: Path) -> None:
    publish(mirror, FILE, gzip.compress(TEXT))
    assert gzip.decompress(fetch(FILE).read_bytes()) == TEXT


@pytest.mark.parametrize("content", [b"another version\n", b"\x1f\x8b damaged"])
def test_another_content_is_refused_and_not_kept(mirror: Path, content: bytes) -> None:
    publish(mirror, FILE, content)
    with pytest.raises(UserError, match=r"data/test\.csv: (its SHA-256 is .*: another version|damaged)"):
        fetch(FILE)
    assert not FILE.cached.exists()


def test_a_bomb_is_not_unzipped(mirror: Path) -> None:
    bomb = gzip.compress(b"x" * 1_000_000) * 400
    for file, content in ((FILE, bomb), (ARCHIVE, gzip.compress(tar_of("data/test.csv", b"x" * 301_000_000), 1))):
        publish(mirror, file, content)
        with pytest.raises(UserError, match=r"more than 300,000,000 bytes"):
            fetch(file)


def test_a_cached_file_that_was_changed_is_refused(mirror: Path) -> None:
    publish(mirror, FILE, TEXT)
    fetch(FILE).write_bytes(b"changed")
    with pytest.raises(UserError, match="another version; delete it"):
        fetch(FILE)


@pytest.mark.parametrize(
    ("file", "content"), [(ARCHIVE, b"no archive"), (ARCHIVE, tar_of("other.csv", TEXT)), (FILE, None)]
)
def test_what_cannot_be_had_is_named_with_the_place_to_put_it(
    mirror: Path, file: PublishedFile, content: bytes | None
) -> None:
    if content is not None:
        publish(mirror, file, content)
    with pytest.raises(UserError, match=r"^http://127.*(archive|cannot be fetched)"):
        fetch(file)
    file.cached.parent.mkdir(parents=True)
    file.cached.write_bytes(TEXT)
    assert fetch(file).read_bytes() == TEXT


def test_a_mirror_that_is_no_address_is_refused(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MIRROR, "/some/folder")
    with pytest.raises(UserError, match="is no address; write https://HOST/PATH"):
        fetch(FILE)


def test_a_mirrors_login_is_sent_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a mirror that has the file for one login only
    class Guarded(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            login = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
            self.send_response(200 if login == "ana:pass/word" else 401)
            self.end_headers()
            self.wfile.write(TEXT)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Guarded)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    # when
    monkeypatch.setenv(MIRROR, f"http://ana:hunter2@127.0.0.1:{server.server_port}")
    with pytest.raises(UserError, match=r"^http://\*\*\*@127\.0\.0\.1.*401") as refused:
        fetch(FILE)
    monkeypatch.setenv(MIRROR, f"http://ana:pass%2Fword@127.0.0.1:{server.server_port}")
    # then
    assert fetch(FILE).read_bytes() == TEXT
    assert "hunter2" not in str(refused.value)
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("address", ["ana:secret@host.example/path", "ftp://ana:secret@host.example"])
def test_the_login_of_a_mirror_that_is_no_address_is_not_shown(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv(MIRROR, address)
    with pytest.raises(UserError, match="is no address") as refused:
        fetch(FILE)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "items",
    [
        bias.PublisherStatements, ethics.PublisherDeeds, toxicity.PublisherPrompts, truthfulness.PublisherQuestions,
    ],
)  # fmt: skip
def test_every_published_benchmark_is_pinned_by_its_digest(items: type[PublisherItems]) -> None:
    assert items.FILES
    for file in items.FILES:
        assert file.address.startswith("https://")
        assert len(file.sha256) == 64


def test_items_are_made_of_the_fetched_file(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deeds(ethics.PublisherDeeds):
        FILES = (PublishedFile("cm.csv", "https://publisher.example/cm.csv", hashlib.sha256(DEEDS).hexdigest()),)

    publish(mirror, Deeds.FILES[0], DEEDS)
    frame = ethics.items(Deeds(source="publisher"))
    assert set(frame["wrong"]) == {True, False}


DEEDS = b"label,input,is_short,edited\n0,I helped.,True,False\n1,I lied to a friend.,True,False\n"


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"HELLO\r\n\r\n", "HELLO"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nlabel,", "994 more expected"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nlabel,", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 200 + b"\r\n", "more than 100 headers"),
    ],
)
def test_an_answer_that_is_cut_off_or_no_answer_is_named(
    answer: bytes, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Reply(StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(answer)

    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    with TCPServer(("127.0.0.1", 0), Reply) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setenv(MIRROR, f"http://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(UserError, match=rf"cannot be fetched \(.*{complaint}"):
            fetch(FILE)


@pytest.mark.parametrize("address", ["http://host name", "http://127.0.0.1:port"])
def test_an_address_that_is_none_is_named(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv(MIRROR, address)
    with pytest.raises(UserError, match=f"^{address}/.* cannot be fetched"):
        fetch(FILE)
