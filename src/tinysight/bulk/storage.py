"""Paths on any pyarrow filesystem: local, S3, Google Cloud Storage, HDFS, Azure."""

from __future__ import annotations

import os.path
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pyarrow import ArrowException
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType, LocalFileSystem

from tinysight._util.errors import InputError

CONCURRENT_READS = 32  # concurrent reads; hides the latency of object stores

_MAGIC = re.compile(r"[*?\[]")
_WILDCARDS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
_WILDCARD = re.compile(r"(\*\*/|\*\*|\*|\?|\[(?:![^/]|[^!/])[^/\]]*\])")


@dataclass(frozen=True)
class RemotePath:
    """A file or directory on a filesystem.

    Attributes:
        filesystem: the filesystem.
        path: the path on it.
        scheme: the prefix for display, such as "s3://"; "" for local files.
    """

    filesystem: FileSystem
    path: str
    scheme: str = ""

    @classmethod
    def parse(cls, argument: str) -> RemotePath:
        """Parse a URI, or a local path, which is made absolute.

        Raises:
            InputError: no filesystem can open the URI.
        """
        scheme, separator, _ = argument.partition("://")
        if not separator:
            return cls(LocalFileSystem(), Path(os.path.abspath(argument)).as_posix())
        try:
            filesystem, path = FileSystem.from_uri(argument)
        except (ArrowException, OSError, ValueError) as error:
            raise InputError(f"{argument}: cannot be opened ({_reason(error)}). Check its spelling.") from error
        return cls(filesystem, path, "" if scheme == "file" else f"{scheme}://")

    def __str__(self) -> str:
        """Return the path with its scheme; credentials and options of the URI are left out."""
        return f"{self.scheme}{self.path}"

    def with_path(self, path: str) -> RemotePath:
        """Return another path on the same filesystem."""
        return replace(self, path=path)

    def join(self, name: str) -> RemotePath:
        """Return the path of `name` in this directory."""
        return self.with_path(posixpath.join(self.path, name))

    @property
    def is_local(self) -> bool:
        """Whether the filesystem is local."""
        return isinstance(self.filesystem, LocalFileSystem)

    def info(self) -> FileInfo:
        """Return the file information.

        Raises:
            InputError: no connection or no permission.
        """
        try:
            return self.filesystem.get_file_info(self.path)
        except OSError as error:
            raise InputError(
                f"{self}: cannot be accessed ({_reason(error)}). Check the name and permissions."
            ) from error

    def iter_files(self) -> Iterator[FileInfo]:
        """Yield the files below this directory in sorted order, without hidden ones.

        Lists one directory at a time, so that memory does not grow with their number.

        Raises:
            InputError: a directory cannot be read, or a name in it is not UTF-8.
        """
        try:
            infos = self.filesystem.get_file_info(FileSelector(self.path))
        except OSError as error:
            raise InputError(f"{self}: cannot be read ({_reason(error)}). Check the name and permissions.") from error
        try:
            infos = sorted(infos, key=lambda info: info.path)
        except UnicodeDecodeError as error:
            raise InputError(f"{self}: has a file name that is not UTF-8. Rename the file.") from error
        for info in infos:
            if info.base_name.startswith("."):
                continue
            if info.type == FileType.Directory:
                yield from self.with_path(info.path).iter_files()
            elif info.type == FileType.File:
                yield info

    def glob(self) -> Iterator[FileInfo]:
        """Yield the files that this path selects: itself, all below a directory, or the matches of a glob.

        In a glob, * and ? match within a name, [..] matches one character of a set, ** matches any directories.

        Raises:
            InputError: the path does not exist.
        """
        info = self.info()
        if info.type == FileType.Directory:
            yield from self.iter_files()
        elif info.type == FileType.File:
            yield info
        elif not _MAGIC.search(self.path):
            raise InputError(f"{self}: does not exist. Check the name.")
        else:
            parent, regex = self._glob_root(), glob_to_regex(self.path)
            if parent.info().type != FileType.Directory:
                raise InputError(f"{parent}: is not a directory. Check the name.")
            yield from (info for info in parent.iter_files() if regex.fullmatch(info.path))

    def _glob_root(self) -> RemotePath:
        """Return the deepest directory above the first wildcard."""
        parts = self.path.split("/")
        first = next(number for number, part in enumerate(parts) if _MAGIC.search(part))
        return self.with_path("/".join(parts[:first]) or "/")

    def read(self, max_bytes: int) -> bytes:
        """Return at most the first `max_bytes` bytes of a file. Raises OSError."""
        with self.filesystem.open_input_stream(self.path, compression=None) as stream:
            content: bytes = stream.read(max_bytes)
        return content


def glob_to_regex(glob: str) -> re.Pattern[str]:
    """Translate a glob to a regular expression for whole paths."""
    return re.compile("".join(map(_translate, _WILDCARD.split(glob))), re.DOTALL)


def _translate(part: str) -> str:
    """Return the regular expression for one wildcard, or for text without wildcards."""
    if part in _WILDCARDS:
        return _WILDCARDS[part]
    if not _WILDCARD.fullmatch(part):
        return re.escape(part)
    negated = part[1] == "!"
    items = re.findall(r"(.)-(.)|(.)", part[2 if negated else 1 : -1], re.DOTALL)
    ranges = [f"{re.escape(low)}-{re.escape(high)}" if low else re.escape(single) for low, high, single in items]
    ascending = [text for text, (low, high, _) in zip(ranges, items, strict=True) if low <= high]
    if not ascending:
        return "[^/]" if negated else "(?!)"
    return f"(?!/)[{'^' if negated else ''}{''.join(ascending)}]"


def _reason(error: Exception) -> str:
    """Return an exception's message on one line, at most 200 characters."""
    return " ".join((getattr(error, "strerror", None) or str(error)).split())[:200]
