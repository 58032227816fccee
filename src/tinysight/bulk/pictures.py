"""The pictures of a unit, one after the other, as bytes; or the reason why there are none."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from zlib import error as ZlibError

import pyarrow as pa
from pyarrow import ArrowException
from pyarrow import parquet as pq

from tinysight.bulk.places import REQUESTS, Place
from tinysight.bulk.units import Unit
from tinysight.data.folders.listing import SUFFIXES
from tinysight.data.intake import MAX_BYTES
from tinysight.errors import ImageError

Found = tuple[str, bytes | ImageError]
"""The name of a picture, and its bytes or what is wrong with it."""

_AT_ONCE = 256  # rows of a Parquet file that are read together; a row group may be larger than memory
_DAMAGED = "is damaged or cut short; get it again or leave it out."


def pictures(place: Place, unit: Unit) -> Iterator[Found]:
    """Yield every picture of a unit once; `place` says on which filesystem."""
    match unit.kind:
        case "pictures":
            yield from _of_files([place.at(path) for path in unit.paths])
        case "tar":
            yield from _of_tar(place.at(unit.paths[0]))
        case "parquet":
            yield from _of_parquet(place.at(unit.paths[0]), unit)


def _of_files(places: list[Place]) -> Iterator[Found]:
    """Yield files in their order; those of another machine several at a time, since each is waited for."""
    if places[0].is_local:
        yield from map(_of_file, places)
        return
    with ThreadPoolExecutor(REQUESTS) as pool:
        for start in range(0, len(places), REQUESTS):
            yield from pool.map(_of_file, places[start : start + REQUESTS])


def _of_file(place: Place) -> Found:
    try:
        return str(place), place.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return str(place), ImageError(f"{place} does not exist any more; was it removed meanwhile?")
    except OSError as error:
        return str(place), ImageError(f"{place} cannot be read ({error.strerror or error}); check its permissions.")


def _of_tar(place: Place) -> Iterator[Found]:
    """Yield the pictures of a tar file, known by their suffix, as they come; if it is damaged, the last row says so."""
    try:
        with (
            place.filesystem.open_input_stream(place.path, compression=None) as stream,
            tarfile.open(fileobj=stream, mode="r|*") as shard,
        ):
            for member in shard:
                hidden = posixpath.basename(member.name).startswith(".")
                if member.isreg() and member.name.lower().endswith(SUFFIXES) and not hidden:
                    yield f"{place}:{member.name}", _member(shard, member)
    except (tarfile.TarError, OSError, EOFError, ZlibError):
        yield str(place), ImageError(f"{place} {_DAMAGED}")


def _member(shard: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = shard.extractfile(member)
    found = content.read(MAX_BYTES + 1) if content else b""
    if len(found) < min(member.size, MAX_BYTES + 1):
        raise tarfile.ReadError("unexpected end of data")
    return found


def _of_parquet(place: Place, unit: Unit) -> Iterator[Found]:
    try:
        # Without pre_buffer only what is being read is in memory, and not the whole row group.
        file = pq.ParquetFile(place.path, filesystem=place.filesystem, pre_buffer=False, buffer_size=2**20)
    except (ArrowException, OSError, ValueError):
        yield str(place), ImageError(f"{place} {_DAMAGED}")
        return
    with file:
        column = picture_column(file.schema_arrow)
        if column is None:
            names = ", ".join(file.schema_arrow.names)
            yield str(place), ImageError(f"{place} has no column of pictures; its columns are {names}.")
        else:
            yield from _of_row_groups(place, file, column, unit.row_groups)


def _of_row_groups(place: Place, file: pq.ParquetFile, column: str, groups: tuple[int, ...]) -> Iterator[Found]:
    """Yield every row of some row groups; from where they are damaged on, each says so."""
    lengths = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
    row = sum(lengths[: groups[0]]) if groups else 0
    end = row + sum(lengths[number] for number in groups)
    try:
        for batch in file.iter_batches(_AT_ONCE, list(groups), columns=[column]):
            for content in _contents(batch.column(0)):
                yield f"{place}:{row}", content or ImageError(f"Row {row} of {place} holds no picture.")
                row += 1
    except (ArrowException, OSError, ValueError):
        yield from ((f"{place}:{left}", ImageError(f"{place} {_DAMAGED}")) for left in range(row, end))


def picture_column(schema: pa.Schema) -> str | None:
    """Return which column holds encoded pictures: `image` if it does, else the first of bytes.

    Bytes may stand by themselves, or in a field `bytes` as Hugging Face's datasets write them.
    """
    fitting = [field.name for field in schema if _holds_bytes(field.type)]
    if not fitting:
        return None
    name: str = "image" if "image" in fitting else fitting[0]
    return name


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_bytes(kind.field("bytes").type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _contents(column: pa.Array) -> list[bytes | None]:
    values = column.to_pylist()
    return [value and value["bytes"] for value in values] if pa.types.is_struct(column.type) else values
