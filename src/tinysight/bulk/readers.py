"""Readers of encoded images: image files, tar members, Parquet rows."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from tarfile import EOFHeaderError, HeaderError, ReadError  # type: ignore[attr-defined]
from typing import Self
from zlib import error as ZlibError

import pyarrow as pa
from pyarrow import ArrowException
from pyarrow import parquet as pq

from tinysight._util.errors import ImageError
from tinysight.bulk.shards import Shard
from tinysight.bulk.storage import CONCURRENT_READS, RemotePath
from tinysight.data.image_io import MAX_BYTES
from tinysight.data.image_io.formats import HEAD_BYTES, image_format, is_image_name, is_readable_format, is_system_name

RawImage = tuple[str, bytes | ImageError]
"""The name of an image, and its encoded bytes or the error that prevented reading it."""

_PARQUET_ROWS = 256  # rows read at a time; a whole row group may not fit into memory
_DAMAGED = "is damaged or truncated. Replace or remove it."
# tarfile raises TypeError for a gzip header that ends early, and ValueError for invalid numbers.
_TAR_ERRORS = (tarfile.TarError, OSError, EOFError, ZlibError, TypeError, ValueError)


def read_images(root: RemotePath, shard: Shard) -> Iterator[RawImage]:
    """Yield every image of a shard once, with its bytes or an error.

    Args:
        root: provides the filesystem.
        shard: the shard.
    """
    match shard.kind:
        case "images":
            yield from _from_files([root.with_path(path) for path in shard.paths])
        case "tar":
            yield from _from_tar(root.with_path(shard.paths[0]))
        case "parquet":
            yield from _from_parquet(root.with_path(shard.paths[0]), shard)


def _from_files(places: list[RemotePath]) -> Iterator[RawImage]:
    """Yield files in order; remote files are read concurrently, because of their latency."""
    if places[0].is_local:
        yield from map(_from_file, places)
        return
    with ThreadPoolExecutor(CONCURRENT_READS) as pool:
        for start in range(0, len(places), CONCURRENT_READS):
            yield from pool.map(_from_file, places[start : start + CONCURRENT_READS])


def _from_file(place: RemotePath) -> RawImage:
    try:
        return str(place), place.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return str(place), ImageError(f"{place}: no longer exists. Restore it or rerun without it.")
    except OSError as error:
        return str(place), ImageError(f"{place}: cannot be read ({error.strerror or error}). Check its permissions.")


def _from_tar(place: RemotePath) -> Iterator[RawImage]:
    """Yield the image members of a tar file in order; if it is damaged, the last item is an error."""
    try:
        with (
            place.filesystem.open_input_stream(place.path, compression=None) as stream,
            tarfile.open(fileobj=stream, mode="r|*", tarinfo=_StrictTarInfo) as archive,
        ):
            for member in archive:
                if member.isreg() and not is_system_name(posixpath.basename(member.name)):
                    content = _read_member(archive, member)
                    if content is not None:
                        yield f"{place}:{_printable(member.name)}", content
    except _TAR_ERRORS:
        yield str(place), ImageError(f"{place}: {_DAMAGED}")


class _StrictTarInfo(tarfile.TarInfo):
    """Header of a member; a damaged or missing one raises ReadError, where tarfile would end without an error."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        """Read the next header; only a block of zeros ends the archive."""
        try:
            return super().fromtarfile(tarfile)
        except EOFHeaderError:
            raise
        except HeaderError as error:
            raise ReadError(str(error)) from error


def _printable(name: str) -> str:
    """Return a name with an escape for every byte that is not UTF-8, because Parquet stores only UTF-8."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    """Return the content of a member, or None if neither its name nor its first bytes are those of an image."""
    file = archive.extractfile(member)
    content = file.read(HEAD_BYTES) if file else b""
    if not is_image_name(member.name) and not is_readable_format(image_format(content)):
        return None
    content += file.read(MAX_BYTES + 1 - len(content)) if file else b""
    if len(content) < min(member.size, MAX_BYTES + 1):
        raise ReadError("unexpected end of data")
    return content


def _from_parquet(place: RemotePath, shard: Shard) -> Iterator[RawImage]:
    try:
        # Without pre_buffer, memory holds the batch being read instead of the whole row group.
        file = pq.ParquetFile(place.path, filesystem=place.filesystem, pre_buffer=False, buffer_size=2**20)
    except (ArrowException, OSError, ValueError):
        yield str(place), ImageError(f"{place}: {_DAMAGED}")
        return
    with file:
        column = image_column(file.schema_arrow)
        if column is None:
            names = ", ".join(file.schema_arrow.names)
            yield (
                str(place),
                ImageError(f"{place}: has no column of images, only {names}. Store encoded images as binary values."),
            )
        else:
            yield from _from_row_groups(place, file, column, shard.row_groups)


def _from_row_groups(
    place: RemotePath, file: pq.ParquetFile, column: str, groups: tuple[int, ...]
) -> Iterator[RawImage]:
    """Yield every row of some row groups; after damage, all remaining rows are errors."""
    lengths = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
    row = sum(lengths[: groups[0]]) if groups else 0
    end = row + sum(lengths[number] for number in groups)
    try:
        for batch in file.iter_batches(_PARQUET_ROWS, list(groups), columns=[column]):
            for content in _cells(batch.column(0)):
                yield f"{place}:{row}", content or ImageError(f"{place}: row {row} holds no image. Remove the row.")
                row += 1
    except (ArrowException, OSError, ValueError):
        yield from ((f"{place}:{index}", ImageError(f"{place}: {_DAMAGED}")) for index in range(row, end))


def image_column(schema: pa.Schema) -> str | None:
    """Return the column of encoded images: `image` if it is binary, else the first binary column, else None.

    A column is binary if it holds bytes, or a struct with a field `bytes`, as Hugging Face datasets write images.
    """
    binary: list[str] = [field.name for field in schema if _is_binary(field.type)]
    if not binary:
        return None
    return "image" if "image" in binary else binary[0]


def _is_binary(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_binary(kind.field("bytes").type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _cells(column: pa.Array) -> list[bytes | None]:
    values = column.to_pylist()
    return [value and value["bytes"] for value in values] if pa.types.is_struct(column.type) else values
