"""CIFAR-10's layouts with made-up images, and a web site of our own to fetch them from."""

import hashlib
import ssl
import tarfile
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from tinysight.data.cifar10 import binary, published
from tinysight.data.cifar10.download import Archive

BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def _write_binary_layout(folder, images=10_000):
    """Six files of black airplanes, but for the first image of each: its label and red corner count the files."""
    folder.mkdir(parents=True)
    for number, name in enumerate(BATCHES):
        with (folder / f"{name}.bin").open("wb") as file:
            file.write(bytes([number, number]))
            file.truncate(images * 3073)  # the rest takes no room on disk
    return folder


def _write_archive(folder):
    """The same in a gzipped tar, with the readme and the folder that the published one has."""
    (folder / "readme.html").write_text("<html>")
    path = folder.parent / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.add(folder, folder.name)
    return path


@pytest.fixture
def binary_layout(tmp_path):
    return _write_binary_layout(tmp_path / "made-up" / "cifar-10-batches-bin")


@pytest.fixture
def published_layout(binary_layout, monkeypatch):
    """The same, as if its checksums were those of the published images."""
    sums = (hashlib.sha256((binary_layout / f"{name}.bin").read_bytes()).hexdigest() for name in BATCHES)
    monkeypatch.setattr(published, "_BATCH_SHA256", tuple(sums))
    return binary_layout


@pytest.fixture(scope="session")
def archive_file(tmp_path_factory):
    return _write_archive(_write_binary_layout(tmp_path_factory.mktemp("archive") / "cifar-10-batches-bin"))


@pytest.fixture(scope="session")
def small_archive_file(tmp_path_factory):
    """One image a file, for what does not depend on their number."""
    return _write_archive(_write_binary_layout(tmp_path_factory.mktemp("small") / "cifar-10-batches-bin", images=1))


@pytest.fixture
def isolated(tmp_path, monkeypatch):
    """Neither a home, nor a cache, nor a working folder with images in it."""
    monkeypatch.delenv("TINYSIGHT_DATA_DIR", raising=False)
    monkeypatch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@dataclass
class Site:
    """One file on a web server, and how that server misbehaves.

    Attributes:
        content: the file.
        drops: for the requests to come, after how many bytes each connection is cut.
        ignores_range: answers every request with the whole file.
        shifts_range: answers a request for a range with bytes from elsewhere.
        chunked: says how long each piece is, and not how long the whole; what is cut is cut within a piece.
        announces_length: says how long the answer is.
        redirect: where a request is sent instead.
        status: what every request is answered with, if not 0.
        hold: requests wait until this is set.
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

    def archive(self, **differing):
        right = {"url": self.url, "size": len(self.content), "sha256": hashlib.sha256(self.content).hexdigest()}
        return Archive(**(right | differing))


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
        pass  # a client that hangs up early is part of the tests


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("authority") / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return authority, path


@pytest.fixture
def site(authority, monkeypatch):
    """A web site with a certificate that this process, and those it starts, trust."""
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
    """A published archive with one image a file."""
    site.content = small_archive_file.read_bytes()
    monkeypatch.setattr(published, "ARCHIVE", site.archive())
    monkeypatch.setattr(binary, "FILE_BYTES", 3073)
    return site
