"""Output of batch prediction: a directory with one Parquet file per shard.

File names contain the shard's number and digest. A directory listing therefore shows which shards are done, and a
shard whose images have changed is predicted again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq
from pyarrow.fs import FileSelector, FileType

from tinysight._util.errors import InputError, StorageError
from tinysight._util.files import write_bytes
from tinysight.bulk.shards import Shard
from tinysight.bulk.storage import RemotePath

SCHEMA = pa.schema(
    [
        ("input", pa.string()),  # location of the image: a file, FILE.tar:MEMBER, or FILE.parquet:ROW
        ("unlike_training", pa.bool_()),  # whether the image is unlike the training images; null if it is not known
        ("class", pa.string()),  # the most probable one
        ("probability", pa.float32()),  # of that class, 0..1
        ("unsure", pa.bool_()),
        ("prediction_set", pa.list_(pa.string())),  # its classes in descending order; null if it was not calibrated
        ("top", pa.list_(pa.struct([("class", pa.string()), ("probability", pa.float32())]))),  # in descending order
        ("error", pa.string()),  # why there is no prediction, as a sentence; all other columns but input are null
    ]
)

MULTI_LABEL_SCHEMA = pa.schema(  # of classifiers that give an image several labels
    [
        SCHEMA.field("input"),
        SCHEMA.field("unlike_training"),
        SCHEMA.field("top").with_name("labels"),
        SCHEMA.field("top"),
        SCHEMA.field("error"),
    ]
)

FORMAT = 3
METADATA_FILE = "_tinysight.json"  # Parquet readers skip files that begin with an underscore
_PART = re.compile(r"part-(\d+)-([0-9a-f]{16})\.parquet")


@dataclass(frozen=True)
class ParquetOutput:
    """A directory of Parquet files."""

    path: RemotePath

    def create_or_resume(self, metadata: dict[str, Any]) -> None:
        """Create the directory, or check that an existing one belongs to the same job.

        Args:
            metadata: what the rows depend on besides the images: classifier, input, settings.

        Raises:
            InputError: the directory holds other files, or the output of another job.
            StorageError: it cannot be written.
        """
        expected = {"format": FORMAT, **metadata}
        if self._is_vacant():
            self._write(METADATA_FILE, json.dumps(expected, indent=2, ensure_ascii=False).encode())
            return
        try:
            existing = json.loads(self.path.join(METADATA_FILE).read(2**20))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(
                f"{self.path}: exists and is not an output of batch prediction. Choose another output."
            ) from error
        if not isinstance(existing, dict) or existing != expected:
            keys = [key for key in expected if not isinstance(existing, dict) or existing.get(key) != expected[key]]
            raise InputError(
                f"{self.path}: holds predictions with a different {' and '.join(keys) or 'format'}. "
                "Choose another output."
            )

    def _is_vacant(self) -> bool:
        """Return whether the directory is missing or empty."""
        kind = self.path.info().type
        return kind == FileType.NotFound or (kind == FileType.Directory and not next(self.path.iter_files(), None))

    def check_visible(self) -> None:
        """Raise InputError unless this machine sees the directory; a remote worker has its own disks."""
        if self.path.join(METADATA_FILE).info().type != FileType.File:
            raise InputError(
                f"{self.path}: is not visible from every machine. Choose a shared output, such as s3://BUCKET/NAME."
            )

    def existing_parts(self) -> dict[int, list[str]]:
        """Return the names of the existing Parquet files, by shard number; more than one if images have changed."""
        try:
            infos = self.path.filesystem.get_file_info(FileSelector(self.path.path))
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error}). Check its permissions.") from error
        parts: dict[int, list[str]] = {}
        for match in filter(None, (_PART.fullmatch(info.base_name) for info in infos)):
            parts.setdefault(int(match[1]), []).append(match[0])
        return parts

    def write_shard(
        self, number: int, shard: Shard, batches: Iterable[pa.RecordBatch], schema: pa.Schema = SCHEMA
    ) -> tuple[int, int]:
        """Write the rows of a shard as one file, atomically.

        Returns:
            The number of rows, and the number of them that hold an error.

        Raises:
            StorageError: it cannot be written.
        """
        rows = errors = 0
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += len(batch)
                errors += len(batch) - batch.column("error").null_count
        self._write(part_name(number, shard), sink.getvalue())
        return rows, errors

    def remove_parts(self, names: Iterable[str]) -> None:
        """Remove the files of shards that have changed or no longer exist."""
        for name in names:
            try:
                self.path.filesystem.delete_file(self.path.join(name).path)
            except FileNotFoundError:
                continue  # another process of the same job has removed it
            except OSError as error:
                raise StorageError(
                    f"{self.path.join(name)}: cannot be removed ({error}). Check its permissions."
                ) from error

    def _write(self, name: str, content: bytes | pa.Buffer) -> None:
        place = self.path.join(name)
        if place.is_local:
            write_bytes(Path(place.path), bytes(content))
            return
        try:  # object stores publish an object only when it is complete
            with place.filesystem.open_output_stream(place.path, compression=None) as stream:
                stream.write(content)
        except OSError as error:
            raise StorageError(f"{place}: cannot be written ({error}). Check its permissions.") from error


def part_name(number: int, shard: Shard) -> str:
    """Return the file name of a shard's rows."""
    return f"part-{number:06}-{shard.digest}.parquet"
