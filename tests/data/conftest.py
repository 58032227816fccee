"""CIFAR-10 layouts with synthetic images, and a local HTTPS server to download them from."""

import hashlib
import ssl
import tarfile
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from tinysight.data.sources.cifar10 import binary_layout, official
from tinysight.data.sources.cifar10.download import Archive

BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def _write_binary_layout(folder, images=10_000):
    """Write six files of black airplanes. The first image of file i has label i and red value i in its corner."""
    folder.mkdir(parents=True)
    for number, name in enumerate(BATCHES):
        with (folder / f"{name}.bin").open("wb") as file:
            file.write(bytes([number, number]))
            file.truncate(images * 3073)  # sparse: the rest takes no disk space
    return folder


def _write_archive(folder):
    """Write the same files to a gzipped tar, with the readme and the folder of the official archive."""
    (folder / "readme.html").write_text("<html>")
    path = folder.parent / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.add(folder, folder.name)
    return path


@pytest.fixture
def binary_folder(tmp_path):
    return _write_binary_layout(tmp_path / "synthetic" / "cifar-10-batches-bin")


@pytest.fixture
def published_layout(binary_folder, monkeypatch):
    """The binary layout, with its checksums patched in as the official ones."""
    checksums = (hashlib.sha256((binary_folder / f"{name}.bin").read_bytes()).hexdigest() for name in BATCHES)
    monkeypatch.setattr(official, "_BATCH_SHA256", tuple(checksums))
    return binary_folder


@pytest.fixture(scope="session")
def archive_file(tmp_path_factory):
    return _write_archive(_write_binary_layout(tmp_path_factory.mktemp("archive") / "cifar-10-batches-bin"))


@pytest.fixture(scope="session")
def small_archive_file(tmp_path_factory):
    """An archive with one image per file, for tests that do not depend on the number."""
    return _write_archive(_write_binary_layout(tmp_path_factory.mktemp("small") / "cifar-10-batches-bin", images=1))


@pytest.fixture
def isolated(tmp_path, monkeypatch):
    """Empty home, cache and working folders."""
    monkeypatch.delenv("TINYSIGHT_DATA_DIR", raising=False)
    monkeypatch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@dataclass
class Site:
    """One file on a web server with configurable faults.

    Attributes:
        content: the file.
        drops: number of bytes after which each of the next connections is dropped.
        ignores_range: send the whole file for every request.
        shifts_range: send a different range than requested.
        chunked: use chunked transfer encoding; dropped connections end within a chunk.
        announces_length: send Content-Length.
        redirect: URL of a redirect, if not empty.
        status: status code of every response, if not 0.
        hold: requests wait until this event is set.
        arrived: set by the first request.
        ranges: the Range header of each request so far.
    """

    content: bytes
    url: str = ""
    drops: list[int] = field(default_factory=list)
    ignores_range: bool = False
    shifts_range: bool = False
    chunked: bool = False
    announces_length: bool = True
    redirect: str = ""
    status: int = 0
    hold: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)
    ranges: list[str | None] = field(default_factory=list)

    def archive(self, **overrides):
        correct = {"url": self.url, "size": len(self.content), "sha256": hashlib.sha256(self.content).hexdigest()}
        return Archive(**(correct | overrides))


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        site = self.server.site
        site.ranges.append(self.headers["Range"])
        site.arrived.set()
        site.hold.wait()
        if site.status or (site.redirect and self.path != "/elsewhere"):
            return self._head(site.status or 302, Location=site.redirect)
        start = int((self.headers["Range"] or "bytes=0-")[len("bytes=") : -1])
        if site.ignores_range:
            start = 0
        if start >= len(site.content):
            return self._head(416)
        self._head(206 if start else 200, **self._describe(start))
        if site.chunked:
            self.wfile.write(b"%x\r\n" % (len(site.content) - start))
        self.wfile.write(site.content[start:][: site.drops.pop(0) if site.drops else None])
        return None

    def _describe(self, start):
        site = self.server.site
        length = len(site.content)
        headers = {"Content-Length": length - start} if site.announces_length and not site.chunked else {}
        if site.chunked:
            headers["Transfer-Encoding"] = "chunked"
        if start:
            headers["Content-Range"] = f"bytes {start + site.shifts_range}-{length - 1}/{length}"
        return headers

    def _head(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()

    def log_message(self, *arguments):
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass  # some tests close the connection early


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("authority") / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return authority, path


@pytest.fixture
def site(authority, monkeypatch):
    """An HTTPS server whose certificate is trusted by this process and its children."""
    issuer, path = authority
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    monkeypatch.setenv("no_proxy", "*")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert("localhost").configure_cert(context)
    server = _Server(("localhost", 0), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.site = Site(bytes(range(256)) * 4000, url=f"https://localhost:{server.server_port}/images.tar.gz")
    server.site.hold.set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.site
    server.site.hold.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def small_site(site, small_archive_file, monkeypatch):
    """A site with an official archive of one image per file."""
    site.content = small_archive_file.read_bytes()
    monkeypatch.setattr(official, "ARCHIVE", site.archive())
    monkeypatch.setattr(binary_layout, "FILE_BYTES", 3073)
    return site
