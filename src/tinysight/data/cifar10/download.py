"""Fetching one published archive: https only, going on where it broke off, checked before anyone uses it."""

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

from tinysight.errors import DownloadError
from tinysight.files import storage_errors
from tinysight.progress import SILENT, Progress

_TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 1 << 18
_MOST_CONNECTIONS = 20


@dataclass(frozen=True)
class Archive:
    """A published file: where it is, and how to know it.

    Attributes:
        url: its address, https.
        size: in bytes.
        sha256: in hex.
    """

    url: str
    size: int
    sha256: str

    def difference(self, path: Path) -> str:
        """Return what tells the file at `path` from this one, in words that go on from "it"; "" if nothing.

        Raises:
            OSError: the file cannot be read.
        """
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != self.size:
                return f"has {size:,} bytes instead of {self.size:,}"
            found = hashlib.file_digest(file, "sha256").hexdigest()
        return "" if found == self.sha256 else f"has the SHA-256 {found} instead of {self.sha256}"


def fetch(archive: Archive, path: Path, progress: Progress = SILENT) -> None:
    """Bring the file at `path` to be `archive`, going on from what an earlier call left there.

    A connection that drops is taken up again as long as each one brings something. Only one process may
    work on `path` at a time.

    Args:
        archive: what to fetch, and its size and checksum.
        path: the file to write. When this function fails it holds what came so far, or is gone if that
            was wrong.
        progress: told the bytes.

    Raises:
        DownloadError: it cannot be fetched, or is not the file it should be.
        StorageError: `path` cannot be written.
    """
    if not archive.url.startswith("https://"):
        raise DownloadError(f"{archive.url} is not an https address, so it is not fetched.")
    opener = urllib.request.build_opener(_HttpsRedirects())
    for _ in range(_MOST_CONNECTIONS):
        have = _size(path)
        if have >= archive.size:
            break
        problem = _connect(opener, archive, path, progress)
        if problem and _size(path) <= have:
            raise DownloadError(f"{archive.url} cannot be fetched: {problem}; check the connection and try again.")
    if _size(path) < archive.size:
        raise DownloadError(f"The connection to {archive.url} broke {_MOST_CONNECTIONS} times; run again to go on.")
    with storage_errors(path):
        difference = archive.difference(path)
    if difference:
        _remove(path)
        raise DownloadError(f"What came from {archive.url} {difference}, so it was removed; try again later.")


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            fp.close()
            raise DownloadError(f"{req.full_url} leads to {newurl}, which is not https, so it is not fetched.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _BrokenError(Exception):
    """The connection brings nothing more; the message says why."""


def _connect(opener: urllib.request.OpenerDirector, archive: Archive, path: Path, progress: Progress) -> str:
    """Fetch over one connection what is missing of `path`; return what was in the way, "" if nothing."""
    have = _size(path)
    headers = {"User-Agent": "tinysight"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        # The address is https: `fetch` checked it, and `_HttpsRedirects` checks where it leads.
        request = urllib.request.Request(archive.url, headers=headers)  # noqa: S310
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
            _receive(response, have, archive, path, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            _remove(path)
            return ""
        return f"the server answers {error.code} {error.reason}"
    except _BrokenError as error:
        return str(error)
    except (OSError, http.client.HTTPException) as error:
        return _words(error)
    return ""


def _receive(response: http.client.HTTPResponse, have: int, archive: Archive, path: Path, progress: Progress) -> None:
    # A server may answer the request for a range with the whole file.
    have = have if response.status == http.client.PARTIAL_CONTENT else 0
    _check_promise(response, have, archive)
    progress.start(f"Fetching {archive.url}", archive.size, "B")
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
        raise DownloadError(f"{archive.url} has more than {archive.size:,} bytes; it is not the published file.")
    if have < archive.size:
        raise _BrokenError(f"the connection ended after {have:,} of {archive.size:,} bytes")


def _check_promise(response: http.client.HTTPResponse, have: int, archive: Archive) -> None:
    given_range = response.headers.get("Content-Range", f"bytes {have}-")
    if not given_range.startswith(f"bytes {have}-"):
        raise _BrokenError(f"the server sends {given_range} where the bytes from {have} on were asked for")
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and have + int(length) != archive.size:
        raise DownloadError(
            f"{archive.url} has {have + int(length):,} bytes instead of {archive.size:,}; it is not the published file."
        )


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read1(_CHUNK_BYTES):
            yield chunk
    # Told apart here from an OSError of the file that the chunks are written to.
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(_words(error)) from error


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason or type(error).__name__)


def _size(path: Path) -> int:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.stat().st_size if path.exists() else 0


def _remove(path: Path) -> None:
    with storage_errors(path):
        path.unlink(missing_ok=True)
