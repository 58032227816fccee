"""Files and folders on whatever filesystem pyarrow opens: this machine's, S3, Google Cloud Storage, HDFS, Azure."""

from __future__ import annotations

import os.path
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pyarrow import ArrowException
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType, LocalFileSystem

from tinysight.errors import InputError

REQUESTS = 32  # files that are asked for together: of an object store each takes a while to come, however small

_MAGIC = re.compile(r"[*?\[]")
_WILDCARDS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True)
class Place:
    """A file or a folder.

    Attributes:
        filesystem: where it is.
        path: as that filesystem has it.
        scheme: what goes before the path to tell people, such as "s3://"; "" for this machine's own files.
    """

    filesystem: FileSystem
    path: str
    scheme: str = ""

    @classmethod
    def of(cls, argument: str) -> Place:
        """Return the place that somebody named: a path of this machine, made absolute, or a URI.

        Raises:
            InputError: it is a URI that no filesystem understands.
        """
        scheme, separator, _ = argument.partition("://")
        if not separator:
            return cls(LocalFileSystem(), os.path.abspath(argument))
        try:
            filesystem, path = FileSystem.from_uri(argument)
        except (ArrowException, OSError, ValueError) as error:
            raise InputError(f"{argument} cannot be opened ({_brief(error)}); check how it is written.") from error
        return cls(filesystem, path, "" if scheme == "file" else f"{scheme}://")

    def __str__(self) -> str:
        """Return how people write it."""
        return f"{self.scheme}{self.path}"

    def at(self, path: str) -> Place:
        """Return another path of the same filesystem."""
        return replace(self, path=path)

    def within(self, name: str) -> Place:
        """Return what is called `name` in this folder."""
        return self.at(posixpath.join(self.path, name))

    @property
    def is_local(self) -> bool:
        """Whether it is among this machine's own files."""
        return isinstance(self.filesystem, LocalFileSystem)

    def info(self) -> FileInfo:
        """Return what is there.

        Raises:
            InputError: nobody can tell: no connection, no permission.
        """
        try:
            return self.filesystem.get_file_info(self.path)
        except OSError as error:
            raise InputError(f"{self} cannot be looked at ({_brief(error)}); check name and permissions.") from error

    def files(self) -> Iterator[FileInfo]:
        """Yield the files of this folder and of those in it, hidden ones left out, in an order that stays.

        One folder's names are held at a time, however many there are in all.

        Raises:
            InputError: a folder cannot be read.
        """
        try:
            found = self.filesystem.get_file_info(FileSelector(self.path))
        except OSError as error:
            raise InputError(f"{self} cannot be read ({_brief(error)}); check name and permissions.") from error
        for info in sorted(found, key=lambda info: info.path):
            if info.base_name.startswith("."):
                continue
            if info.type == FileType.Directory:
                yield from self.at(info.path).files()
            elif info.type == FileType.File:
                yield info

    def matches(self) -> Iterator[FileInfo]:
        """Yield the files that this path stands for: itself, all in a folder, or those that fit a pattern.

        In a pattern * and ? stand for anything within a name, [..] for one of some signs, ** for any folders.

        Raises:
            InputError: there is nothing of that name.
        """
        info = self.info()
        if info.type == FileType.Directory:
            yield from self.files()
        elif info.type == FileType.File:
            yield info
        elif not _MAGIC.search(self.path):
            raise InputError(f"There is no {self}; check the name.")
        else:
            above, fits = self._above_magic(), pattern(self.path)
            if above.info().type != FileType.Directory:
                raise InputError(f"There is no folder {above}; check the name.")
            yield from (info for info in above.files() if fits.fullmatch(info.path))

    def _above_magic(self) -> Place:
        """Return the innermost folder above everything that a pattern leaves open."""
        parts = self.path.split("/")
        first = next(number for number, part in enumerate(parts) if _MAGIC.search(part))
        return self.at("/".join(parts[:first]) or "/")

    def read(self, most: int) -> bytes:
        """Return the content of a file, its first `most` bytes if there are more. Raises OSError."""
        with self.filesystem.open_input_stream(self.path, compression=None) as stream:
            content: bytes = stream.read(most)
        return content


def pattern(glob: str) -> re.Pattern[str]:
    """Return what fits the paths that a pattern of the shell stands for."""
    return re.compile("".join(map(_meaning, re.split(r"(\*\*/|\*\*|\*|\?|\[!?[^/\]]+\])", glob))))


def _meaning(part: str) -> str:
    """Return the regular expression for a part of a pattern that is one wildcard, or holds none."""
    if part in _WILDCARDS:
        return _WILDCARDS[part]
    if part.startswith("[") and part.endswith("]"):
        signs = re.escape(part[1:-1].removeprefix("!")).replace(r"\-", "-")  # a dash still means a range
        return f"[^{signs}]" if part[1] == "!" else f"[{signs}]"
    return re.escape(part)


def _brief(error: Exception) -> str:
    """Return the reason that a library gives, on one line."""
    return " ".join((getattr(error, "strerror", None) or str(error)).split())[:200]
