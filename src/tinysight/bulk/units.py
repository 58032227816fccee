"""The input of a bulk prediction, cut into portions of work that are the same ones every time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from pyarrow import ArrowException
from pyarrow import parquet as pq
from pyarrow.fs import FileInfo

from tinysight.bulk.places import Place
from tinysight.data.folders.listing import SUFFIXES
from tinysight.errors import InputError

PICTURES = 1000  # in a unit: half a second's work, so that little is lost with a worker
TARS = (".tar", ".tar.gz", ".tgz")

Kind = Literal["pictures", "parquet", "tar"]


@dataclass(frozen=True)
class Unit:
    """A portion that one worker takes at a time, and whose rows become one file.

    Attributes:
        kind: "pictures" for picture files, else what its one file is.
        paths: of its files.
        count: how many pictures it holds; None if only reading tells.
        row_groups: of a Parquet file, those meant; none if the file cannot be opened.
        first_row: of those, counted from 0 within the file.
        digest: names what it was made of (paths, sizes, dates, row groups), 16 hexadecimal digits.
    """

    kind: Kind
    paths: tuple[str, ...]
    count: int | None
    row_groups: tuple[int, ...] = ()
    first_row: int = 0
    digest: str = ""


def units(place: Place) -> Iterator[Unit]:
    """Yield the portions that an input falls into: pictures by the thousand, tar files, groups of Parquet's row groups.

    They are found while they are worked on, and never held all at once.

    Raises:
        InputError: there is nothing of that name, or nothing in it that holds pictures.
    """
    found = False
    for unit in _units(place):
        found = True
        yield unit
    if not found:
        kinds = ", ".join([*SUFFIXES, *TARS, ".parquet"])
        raise InputError(f"{place}: there are no pictures there (looked for {kinds}).")


def count(place: Place) -> int:
    """Return how many pictures an input holds, or 0 where only reading all of it would tell."""
    counts = [unit.count for unit in units(place)]
    return 0 if None in counts else sum(filter(None, counts))


def _units(place: Place) -> Iterator[Unit]:
    pictures: list[FileInfo] = []
    for info in place.matches():
        name = info.base_name.lower()
        if name.endswith(SUFFIXES):
            pictures.append(info)
            if len(pictures) == PICTURES:
                yield _of_pictures(pictures)
                pictures = []
        elif name.endswith(TARS):
            yield Unit("tar", (info.path,), None, digest=_digest([info]))
        elif name.endswith(".parquet"):
            yield from _of_parquet(place.at(info.path), info)
    if pictures:
        yield _of_pictures(pictures)


def _of_pictures(infos: list[FileInfo]) -> Unit:
    return Unit("pictures", tuple(info.path for info in infos), len(infos), digest=_digest(infos))


def _of_parquet(place: Place, info: FileInfo) -> Iterator[Unit]:
    """Yield consecutive row groups together, until they hold as many pictures as a unit of files."""
    groups: list[int] = []
    first = rows = 0
    for number, length in enumerate(chain(_row_groups(place), [None])):
        last = length is None
        if groups and (last or rows >= PICTURES):
            yield Unit("parquet", (place.path,), rows, tuple(groups), first, _digest([info], groups))
            groups, first, rows = [], first + rows, 0
        if length is not None:
            groups, rows = [*groups, number], rows + length
        elif number == 0:  # a worker will say in a row why it holds none
            yield Unit("parquet", (place.path,), 1, digest=_digest([info]))


def _row_groups(place: Place) -> list[int]:
    """Return how many rows each row group has; nothing if the file cannot be opened."""
    try:
        with pq.ParquetFile(place.path, filesystem=place.filesystem) as file:
            facts = file.metadata
            return [facts.row_group(number).num_rows for number in range(facts.num_row_groups)]
    except (ArrowException, OSError, ValueError):
        return []


def _digest(infos: list[FileInfo], extra: object = None) -> str:
    facts = [(info.path, info.size, info.mtime_ns) for info in infos]
    return hashlib.sha256(repr((facts, extra)).encode()).hexdigest()[:16]
