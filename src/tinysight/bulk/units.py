"""The input of a bulk prediction, cut into portions of work that are the same ones every time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from pyarrow import ArrowException
from pyarrow import parquet as pq
from pyarrow.fs import FileInfo

from tinysight.bulk.places import REQUESTS, Place
from tinysight.data.folders.listing import SUFFIXES
from tinysight.errors import InputError

PICTURES = 1000  # in a unit: half a second's work, so that little is lost with a worker
TARS = (".tar", ".tar.gz", ".tgz")
PARQUET = ".parquet"
KINDS = (*SUFFIXES, *TARS, PARQUET)

Kind = Literal["pictures", "parquet", "tar"]


@dataclass(frozen=True)
class Unit:
    """A portion that one worker takes at a time, and whose rows become one file.

    Attributes:
        kind: "pictures" for picture files, else what its one file is.
        paths: of its files.
        size: bytes of these files, or of the share of one.
        row_groups: of a Parquet file, those meant, one after the other; none if the file cannot be opened.
        digest: names what it was made of (paths, sizes, dates, row groups), 16 hexadecimal digits.
    """

    kind: Kind
    paths: tuple[str, ...]
    size: int
    digest: str
    row_groups: tuple[int, ...] = ()


def units(place: Place) -> Iterator[Unit]:
    """Yield the portions that an input falls into: pictures by the thousand, tar files, groups of Parquet's row groups.

    They are found while they are worked on, and never held all at once.

    Raises:
        InputError: there is nothing of that name, or nothing in it that holds pictures.
    """
    pictures: list[FileInfo] = []
    for info, row_groups in _looked_into(place):
        name = info.base_name.lower()
        if name.endswith(SUFFIXES):
            pictures.append(info)
            if len(pictures) == PICTURES:
                yield _whole("pictures", pictures)
                pictures = []
        elif name.endswith(TARS):
            yield _whole("tar", [info])
        else:
            yield from _of_parquet(info, row_groups)
    if pictures:
        yield _whole("pictures", pictures)


def size(place: Place) -> int:
    """Return how many bytes all of them have together, without opening any.

    Raises:
        InputError: as `units` does.
    """
    return sum(info.size for info in _files(place))


def _files(place: Place) -> Iterator[FileInfo]:
    """Yield the files that may hold pictures. Raises InputError if there are none."""
    found = False
    for info in place.matches():
        if info.base_name.lower().endswith(KINDS):
            found = True
            yield info
    if not found:
        raise InputError(f"{place}: there are no pictures there (looked for {', '.join(KINDS)}).")


def _looked_into(place: Place) -> Iterator[tuple[FileInfo, list[int]]]:
    """Yield the files, and how many rows the row groups of Parquet files have; several are opened at a time."""
    infos = _files(place)
    with ThreadPoolExecutor(REQUESTS) as pool:
        while some := list(islice(infos, REQUESTS)):
            yield from zip(some, pool.map(lambda info: _row_groups(place.at(info.path)), some), strict=True)


def _row_groups(place: Place) -> list[int]:
    """Return how many rows each row group has; nothing if it is no Parquet file, or cannot be opened."""
    if not place.path.lower().endswith(PARQUET):
        return []
    try:
        with pq.ParquetFile(place.path, filesystem=place.filesystem) as file:
            facts = file.metadata
            return [facts.row_group(number).num_rows for number in range(facts.num_row_groups)]
    except (ArrowException, OSError, ValueError):
        return []


def _whole(kind: Kind, infos: list[FileInfo]) -> Unit:
    return Unit(kind, tuple(info.path for info in infos), sum(info.size for info in infos), _digest(infos))


def _of_parquet(info: FileInfo, row_groups: list[int]) -> Iterator[Unit]:
    """Yield row groups, small ones together until they hold as many pictures as a unit of files."""
    if not row_groups:  # a worker will say in a row why it holds none
        yield _whole("parquet", [info])
    groups: list[int] = []
    for number in range(len(row_groups)):
        groups.append(number)
        rows = sum(row_groups[group] for group in groups)
        if rows >= PICTURES or number == len(row_groups) - 1:
            share = info.size * rows // max(1, sum(row_groups))
            yield Unit("parquet", (info.path,), share, _digest([info], groups), tuple(groups))
            groups = []


def _digest(infos: list[FileInfo], extra: object = None) -> str:
    facts = [(info.path, info.size, info.mtime_ns) for info in infos]
    return hashlib.sha256(repr((facts, extra)).encode()).hexdigest()[:16]
