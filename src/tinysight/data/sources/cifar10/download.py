"""Download a file over HTTPS, with resume and checksum verification."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import IO

from tinysight._util.errors import DownloadError
from tinysight._util.files import storage_errors
from tinysight._util.progress import SILENT, Progress

_TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 1 << 18
_MAX_CONNECTIONS = 20


@dataclass(frozen=True)
class Archive:
    """The URL, size and checksum of a file to download.

    Attributes:
        url: an https URL.
        size: in bytes.
        sha256: in hex.
    """

    url: str
    size: int
    sha256: str

    def mismatch(self, path: Path) -> str:
        """Describe how the file at `path` differs from this archive, as a predicate ("has ..."); "" if it does not.

        Raises:
            OSError: the file cannot be read.
        """
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != self.size:
                return f"has {size:,} bytes instead of {self.size:,}"
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        return "" if actual == self.sha256 else f"has the SHA-256 {actual} instead of {self.sha256}"


def fetch(archive: Archive, path: Path, progress: Progress = SILENT) -> None:
    """Download `archive` to `path`, resuming from a partial file.

    Dropped connections are retried as long as each one transfers at least one byte. Only one process may use
    `path` at a time.

    Args:
        archive: the file to download, with its size and checksum.
        path: the file to write. After an error it holds the bytes received so far, or is removed if they are
            wrong.
        progress: receives the number of bytes.

    Raises:
        DownloadError: the download failed, or the file does not match the size or checksum.
        StorageError: `path` cannot be written.
    """
    if not archive.url.startswith("https://"):
        raise DownloadError(f"{archive.url}: not an https URL. Use an https URL.")
    opener = urllib.request.build_opener(_HttpsRedirects())
    for _ in range(_MAX_CONNECTIONS):
        have = _size(path)
        if have >= archive.size:
            break
        problem = _connect(opener, archive, path, progress)
        if problem and _size(path) <= have:
            raise DownloadError(f"{archive.url}: download failed ({problem}). Check the connection and try again.")
    if _size(path) < archive.size:
        raise DownloadError(f"{archive.url}: connection dropped {_MAX_CONNECTIONS} times. Run again to resume.")
    with storage_errors(path):
        difference = archive.mismatch(path)
    if difference:
        _remove(path)
        raise DownloadError(f"{archive.url}: the download {difference} and was removed. Try again later.")


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            fp.close()
            raise DownloadError(f"{req.full_url}: redirects to {newurl}, which is not https. Try again later.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _ConnectionDroppedError(Exception):
    """The connection ended early; the message is the reason."""


def _connect(opener: urllib.request.OpenerDirector, archive: Archive, path: Path, progress: Progress) -> str:
    """Download the missing bytes of `path` over one connection; return the problem, "" if none."""
    have = _size(path)
    headers = {"User-Agent": "tinysight"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        # The URL is https: `fetch` checks it, and `_HttpsRedirects` checks redirects.
        request = urllib.request.Request(archive.url, headers=headers)  # noqa: S310
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
            _receive(response, have, archive, path, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            _remove(path)
            return ""
        return f"the server returned {error.code} {error.reason}"
    except _ConnectionDroppedError as error:
        return str(error)
    except (OSError, http.client.HTTPException) as error:
        return _reason(error)
    return ""


def _receive(response: http.client.HTTPResponse, have: int, archive: Archive, path: Path, progress: Progress) -> None:
    # A server may ignore the Range header and send the whole file.
    have = have if response.status == http.client.PARTIAL_CONTENT else 0
    _check_headers(response, have, archive)
    progress.start(f"Downloading {archive.url}", archive.size, "B")
    progress.advance(have)
    try:
        with storage_errors(path), path.open("ab" if have else "wb") as file:
            for chunk in _chunks(response):
                have += len(chunk)
                if have > archive.size:
                    break
                file.write(chunk)
                progress.advance(len(chunk))
    finally:
        progress.finish()
    if have > archive.size:
        _remove(path)
        raise DownloadError(f"{archive.url}: more than {archive.size:,} bytes, not the official file. Try again later.")
    if have < archive.size:
        raise _ConnectionDroppedError(f"the connection ended after {have:,} of {archive.size:,} bytes")


def _check_headers(response: http.client.HTTPResponse, have: int, archive: Archive) -> None:
    content_range = response.headers.get("Content-Range", f"bytes {have}-")
    if not content_range.startswith(f"bytes {have}-"):
        raise _ConnectionDroppedError(f"the server sent {content_range}, but the request was for bytes {have}-")
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and have + int(length) != archive.size:
        raise DownloadError(
            f"{archive.url}: {have + int(length):,} bytes instead of {archive.size:,}, not the official "
            "file. Try again later."
        )


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read1(_CHUNK_BYTES):
            yield chunk
    # Caught here, so that an OSError while writing the file is not taken for a network error.
    except (OSError, http.client.HTTPException) as error:
        raise _ConnectionDroppedError(_reason(error)) from error


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason or type(error).__name__)


def _size(path: Path) -> int:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.stat().st_size if path.exists() else 0


def _remove(path: Path) -> None:
    with storage_errors(path):
        path.unlink(missing_ok=True)
