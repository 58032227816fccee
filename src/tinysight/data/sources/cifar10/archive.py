"""Read members of a gzipped tar as streams, without writing anything to disk."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from tinysight._util.errors import DataError

# Limits for everything but the requested members: headers, padding, folders, a readme.
_MAX_OTHER_BYTES = 1_000_000
_MAX_MEMBERS = 100

_READ_BYTES = 1 << 20


def read_tar_members(path: Path, sizes: Mapping[str, int], consume: Callable[[str, io.BufferedReader], None]) -> None:
    """Pass each member named in `sizes` to `consume`, in the order of the archive.

    Args:
        path: a gzipped tar archive.
        sizes: the full names of the requested members, with their sizes in bytes. Other files are skipped.
        consume: called with the name of a member and a stream of exactly its size.

    Raises:
        DataError: the archive is damaged, unpacks to far more than `sizes`, lacks a member, contains one twice
            or with a different size, or contains an absolute path, "..", a link or a device.
    """
    missing = dict(sizes)
    try:
        with (
            _LimitedGzipFile(path, sum(sizes.values()) + _MAX_OTHER_BYTES) as content,
            tarfile.open(fileobj=content, mode="r|", bufsize=_READ_BYTES) as archive,
        ):
            for count, member in enumerate(archive):
                _check(member, count)
                if member.name in sizes:
                    _check_size(member, missing.pop(member.name, None))
                    consume(member.name, _stream(archive, member))
    except _UnsafeArchiveError as error:
        raise DataError(f"{path}: {error}. Get a new copy.") from error
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: incomplete or damaged gzipped tar archive ({error}). Get a new copy.") from error
    if missing:
        raise DataError(f"{path}: member {min(missing)} is missing. Get a new copy.")


class _UnsafeArchiveError(Exception):
    """The archive has unexpected content."""


class _LimitedGzipFile(gzip.GzipFile):
    """A gzip file that raises an error after `limit` bytes, against decompression bombs."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(path, "rb")
        self._remaining = limit

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(self._remaining + 1 if size is None or size < 0 else min(size, self._remaining + 1))
        self._remaining -= len(content)
        if self._remaining < 0:
            raise _UnsafeArchiveError("unpacks to more bytes than expected")
        return content


def _check(member: tarfile.TarInfo, count: int) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise _UnsafeArchiveError(f"member {member.name!r} has an unsafe path")
    is_regular = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
    if not (is_regular or member.isdir()):
        raise _UnsafeArchiveError(f"member {member.name!r} is neither a regular file nor a folder")
    if count >= _MAX_MEMBERS:
        raise _UnsafeArchiveError(f"more than {_MAX_MEMBERS} members")


def _check_size(member: tarfile.TarInfo, expected: int | None) -> None:
    if expected is None:
        raise _UnsafeArchiveError(f"member {member.name} occurs twice")
    if member.size != expected:
        raise _UnsafeArchiveError(f"member {member.name} has {member.size:,} bytes instead of {expected:,}")


def _stream(archive: tarfile.TarFile, member: tarfile.TarInfo) -> io.BufferedReader:
    stream = archive.extractfile(member)
    if not isinstance(stream, io.BufferedReader):
        raise _UnsafeArchiveError(f"member {member.name} is not a regular file")
    return stream
