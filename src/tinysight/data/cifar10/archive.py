"""Reading members of a gzipped tar as streams. Nothing in the archive decides what is written, or where."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from tinysight.errors import DataError

# What an archive may hold beside the members that are asked for: headers, padding, folders, a readme.
_MOST_OTHER_BYTES = 1_000_000
_MOST_MEMBERS = 100

_READ_BYTES = 1 << 20


def read_members(path: Path, sizes: Mapping[str, int], consume: Callable[[str, io.BufferedReader], None]) -> None:
    """Hand each member named in `sizes` to `consume`, in the order of the archive.

    Args:
        path: a gzipped tar archive.
        sizes: the full name of every member that is asked for, and its size in bytes. Other files are skipped.
        consume: called with the name of a member and a stream of exactly its size.

    Raises:
        DataError: the archive is damaged, unpacks to far more than `sizes`, lacks a member, has one twice or
            in another size, or holds what an archive of images has no use for: an absolute path, "..", a
            link or a device.
    """
    missing = dict(sizes)
    try:
        with (
            _Unzipped(path, sum(sizes.values()) + _MOST_OTHER_BYTES) as unzipped,
            tarfile.open(fileobj=unzipped, mode="r|", bufsize=_READ_BYTES) as archive,
        ):
            for count, member in enumerate(archive):
                _check(member, count)
                if member.name in sizes:
                    _check_size(member, missing.pop(member.name, None))
                    consume(member.name, _stream(archive, member))
    except _RefusedError as error:
        raise DataError(f"{path} is refused: {error}.") from error
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a whole gzipped tar archive ({error}); get it again.") from error
    if missing:
        raise DataError(f"{path} is refused: it lacks {min(missing)}.")


class _RefusedError(Exception):
    """The archive is not what was asked for."""


class _Unzipped(gzip.GzipFile):
    """The content of a gzip file, of which it gives at most `limit` bytes: there a bomb ends."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(path, "rb")
        self._left = limit

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(self._left + 1 if size is None or size < 0 else min(size, self._left + 1))
        self._left -= len(content)
        if self._left < 0:
            raise _RefusedError("it unpacks to more than it should")
        return content


def _check(member: tarfile.TarInfo, count: int) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise _RefusedError(f"it holds {member.name!r}, a path that leads out of it")
    plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
    if not (plain or member.isdir()):
        raise _RefusedError(f"{member.name!r} in it is neither a plain file nor a folder")
    if count >= _MOST_MEMBERS:
        raise _RefusedError(f"it holds more than {_MOST_MEMBERS} files")


def _check_size(member: tarfile.TarInfo, expected: int | None) -> None:
    if expected is None:
        raise _RefusedError(f"it holds {member.name} twice")
    if member.size != expected:
        raise _RefusedError(f"{member.name} in it has {member.size:,} bytes instead of {expected:,}")


def _stream(archive: tarfile.TarFile, member: tarfile.TarInfo) -> io.BufferedReader:
    stream = archive.extractfile(member)
    if not isinstance(stream, io.BufferedReader):
        raise _RefusedError(f"{member.name} in it is not a plain file")
    return stream
