"""Where a bulk prediction leaves its rows: a folder of Parquet files, one for each unit of work.

The name of a file carries its unit's number and digest, so that one look into the folder tells what is done, and a
unit whose pictures have changed since is done again.
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

from tinysight.bulk.places import Place
from tinysight.bulk.rows import SCHEMA
from tinysight.bulk.units import Unit
from tinysight.errors import InputError, StorageError
from tinysight.files import write_bytes

FORMAT = 1
FACTS = "_tinysight.json"  # what readers of Parquet leave out begins with an underscore
_PART = re.compile(r"part-(\d+)-([0-9a-f]{16})\.parquet")


@dataclass(frozen=True)
class Output:
    """A folder of rows."""

    place: Place

    def begin(self, facts: dict[str, Any]) -> None:
        """Make the folder, or see that it is one of the same work, which can go on.

        Args:
            facts: what the rows depend on, beside the pictures: the classifier, the input, the settings.

        Raises:
            InputError: something else is there, or rows of other work.
            StorageError: it cannot be written.
        """
        wanted = {"format": FORMAT, **facts}
        if self._is_vacant():
            self._write(FACTS, json.dumps(wanted, indent=2, ensure_ascii=False).encode())
            return
        try:
            there = json.loads(self.place.within(FACTS).read(2**20))
        except (OSError, ValueError) as error:
            raise InputError(f"{self.place} is there already, and no output of predict; name another.") from error
        if not isinstance(there, dict) or there != wanted:
            others = [key for key in wanted if not isinstance(there, dict) or there.get(key) != wanted[key]]
            raise InputError(
                f"{self.place} holds predictions with another {' and '.join(others) or 'format'}; "
                "name another --output."
            )

    def _is_vacant(self) -> bool:
        """Return whether nothing is there, or an empty folder."""
        kind = self.place.info().type
        return kind == FileType.NotFound or (kind == FileType.Directory and not next(self.place.files(), None))

    def require_visible(self) -> None:
        """Raise InputError unless the folder can be seen from here: another machine has disks of its own."""
        if self.place.within(FACTS).info().type != FileType.File:
            raise InputError(
                f"{self.place} cannot be seen from every machine; name an --output that can, such as s3://BUCKET/NAME."
            )

    def parts(self) -> dict[int, str]:
        """Return the names of the files that are there, by the numbers of their units."""
        try:
            infos = self.place.filesystem.get_file_info(FileSelector(self.place.path))
        except OSError as error:
            raise InputError(f"{self.place} cannot be read ({error}); check its permissions.") from error
        found = (_PART.fullmatch(info.base_name) for info in infos)
        return {int(match[1]): match[0] for match in found if match}

    def write(self, number: int, unit: Unit, batches: Iterable[pa.RecordBatch]) -> tuple[int, int]:
        """Write the rows of a unit as one file, which is there whole or not at all.

        Returns:
            How many rows there are, and how many of them tell of an error.

        Raises:
            StorageError: it cannot be written.
        """
        rows = errors = 0
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, SCHEMA, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += len(batch)
                errors += len(batch) - batch.column("error").null_count
        self._write(part_name(number, unit), sink.getvalue())
        return rows, errors

    def remove(self, names: Iterable[str]) -> None:
        """Remove files whose units are there no more, or have changed."""
        for name in names:
            try:
                self.place.filesystem.delete_file(self.place.within(name).path)
            except FileNotFoundError:
                continue  # another process of the same work was quicker
            except OSError as error:
                raise StorageError(f"Cannot remove {self.place.within(name)}: {error}.") from error

    def _write(self, name: str, content: bytes | pa.Buffer) -> None:
        place = self.place.within(name)
        if place.is_local:
            write_bytes(Path(place.path), bytes(content))
            return
        try:  # an object comes into being when it is whole
            with place.filesystem.open_output_stream(place.path, compression=None) as stream:
                stream.write(content)
        except OSError as error:
            raise StorageError(f"Cannot write {place}: {error}.") from error


def part_name(number: int, unit: Unit) -> str:
    """Return what the file of a unit is called."""
    return f"part-{number:06}-{unit.digest}.parquet"
