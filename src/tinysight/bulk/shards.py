"""Deterministic shards of the input of batch prediction."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Literal

from pyarrow import ArrowException
from pyarrow import parquet as pq
from pyarrow.fs import FileInfo

from tinysight._util.errors import InputError
from tinysight.bulk.storage import CONCURRENT_READS, RemotePath
from tinysight.data.image_io.formats import IMAGE_SUFFIXES

IMAGES_PER_SHARD = 1000  # images per shard: half a second of work, which bounds the loss when a worker dies
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
PARQUET_SUFFIX = ".parquet"
INPUT_SUFFIXES = (*IMAGE_SUFFIXES, *TAR_SUFFIXES, PARQUET_SUFFIX)

ShardKind = Literal["images", "parquet", "tar"]


@dataclass(frozen=True)
class Shard:
    """The input of one task, whose rows are written to one file.

    Attributes:
        kind: "images" for image files; "parquet" or "tar" for (part of) one such file.
        paths: paths of its files.
        size: bytes of these files, or of the part of one.
        digest: hash of paths, sizes, modification times and row groups, 16 hexadecimal digits.
        row_groups: consecutive row groups of a Parquet file; empty if it cannot be opened.
    """

    kind: ShardKind
    paths: tuple[str, ...]
    size: int
    digest: str
    row_groups: tuple[int, ...] = ()


def iter_shards(root: RemotePath) -> Iterator[Shard]:
    """Yield the shards of an input: up to 1000 image files, a tar file, or row groups of a Parquet file.

    Shards are listed lazily, so that memory does not grow with their number.

    Raises:
        InputError: the input does not exist, or holds no images.
    """
    images: list[FileInfo] = []
    for info, row_groups in _with_row_groups(root):
        name = info.base_name.lower()
        if name.endswith(IMAGE_SUFFIXES):
            images.append(info)
            if len(images) == IMAGES_PER_SHARD:
                yield _shard("images", images)
                images = []
        elif name.endswith(TAR_SUFFIXES):
            yield _shard("tar", [info])
        else:
            yield from _parquet_shards(info, row_groups)
    if images:
        yield _shard("images", images)


def total_bytes(root: RemotePath) -> int:
    """Return the total bytes of all shards, without opening a file.

    Raises:
        InputError: the input does not exist, or holds no images.
    """
    return sum(info.size for info in _files(root))


def _files(place: RemotePath) -> Iterator[FileInfo]:
    """Yield the files that may hold images. Raises InputError if there are none."""
    empty = True
    for info in place.glob():
        if info.base_name.lower().endswith(INPUT_SUFFIXES):
            empty = False
            yield info
    if empty:
        raise InputError(f"{place}: contains no images. Supported files are {', '.join(INPUT_SUFFIXES)}.")


def _with_row_groups(place: RemotePath) -> Iterator[tuple[FileInfo, list[int]]]:
    """Yield the files, with the row counts of Parquet row groups; opens 32 files concurrently."""
    infos = _files(place)
    with ThreadPoolExecutor(CONCURRENT_READS) as pool:
        while batch := list(islice(infos, CONCURRENT_READS)):
            yield from zip(batch, pool.map(lambda info: _row_groups(place.with_path(info.path)), batch), strict=True)


def _row_groups(place: RemotePath) -> list[int]:
    """Return the rows of each row group; empty if the file is not Parquet or cannot be opened."""
    if not place.path.lower().endswith(PARQUET_SUFFIX):
        return []
    try:
        with pq.ParquetFile(place.path, filesystem=place.filesystem) as file:
            metadata = file.metadata
            return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    except (ArrowException, OSError, ValueError):
        return []


def _shard(kind: ShardKind, infos: list[FileInfo]) -> Shard:
    return Shard(kind, tuple(info.path for info in infos), sum(info.size for info in infos), _digest(infos))


def _parquet_shards(info: FileInfo, row_groups: list[int]) -> Iterator[Shard]:
    """Yield shards of consecutive row groups, each of at least 1000 rows unless it is the last.

    Their sizes, proportional to their rows, add up to the size of the file.
    """
    if not row_groups:  # the worker writes the error as a row
        yield _shard("parquet", [info])
    groups: list[int] = []
    ends = list(accumulate(row_groups, initial=0))
    for number in range(len(row_groups)):
        groups.append(number)
        start, end, total = ends[groups[0]], ends[number + 1], max(1, ends[-1])
        is_last = number == len(row_groups) - 1
        if end - start >= IMAGES_PER_SHARD or is_last:
            size = (info.size if is_last else info.size * end // total) - info.size * start // total
            yield Shard("parquet", (info.path,), size, _digest([info], groups), tuple(groups))
            groups = []


def _digest(infos: list[FileInfo], extra: object = None) -> str:
    files = [(info.path, info.size, info.mtime_ns) for info in infos]
    return hashlib.sha256(repr((files, extra)).encode()).hexdigest()[:16]
