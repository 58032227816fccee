"""Image IDs, and CSV lists of them.

The ID of an image is its file name, or its split and index (train/123) if it did not come from a file. A list is
a CSV file with a column `image` and any other columns. Comment lines, each starting with #, may precede the header.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from itertools import dropwhile
from pathlib import Path

from tinysight._util.errors import DataError
from tinysight.data.dataset import Dataset, Split

IMAGE_COLUMN = "image"
_MAX_LISTED = 3  # IDs named in an error message


def image_ids(part: Split, split: str) -> tuple[str, ...]:
    """Return the IDs of the images of a split, in order."""
    return part.files or tuple(f"{split}/{index}" for index in range(len(part)))


def all_image_ids(dataset: Dataset) -> frozenset[str]:
    """Return the IDs of all images of a dataset."""
    return frozenset(name for split, part in dataset.splits.items() for name in image_ids(part, split))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a list as dicts from column name to value.

    Raises:
        DataError: the file cannot be read, is not such a list, or contains an ID twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = dropwhile(lambda line: line.startswith("#"), file)
            reader = csv.DictReader(lines, restval="", restkey="")
            rows, columns = list(reader), reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a CSV file. Pass a CSV file that lists images.") from error
    if IMAGE_COLUMN not in columns:
        raise DataError(f"{path}: no column {IMAGE_COLUMN!r}. Name the columns in the first line.")
    if not rows:
        raise DataError(f"{path}: no images listed. Put one image on each line after the header.")
    if duplicates := [name for name, times in Counter(row[IMAGE_COLUMN] for row in rows).items() if times > 1]:
        raise DataError(f"{path}: duplicate images {_shortened(duplicates)}. Keep one line for each.")
    return rows


def read_image_ids(path: Path) -> tuple[str, ...]:
    """Return the IDs in a list, in order. Raises DataError as `read_rows` does."""
    return tuple(row[IMAGE_COLUMN] for row in read_rows(path))


def check_ids(ids: Sequence[str], known_ids: frozenset[str], path: Path, dataset: str) -> None:
    """Raise DataError if the list at `path` contains IDs that are not `known_ids` in the dataset."""
    unknown = [name for name in ids if name not in known_ids]
    if unknown:
        raise DataError(f"{path}: images not in {dataset}: {_shortened(unknown)}. Remove these lines.")


def to_csv(ids: Sequence[str], **columns: Sequence[object]) -> str:
    """Return a list of these IDs as CSV text, with the additional `columns`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([IMAGE_COLUMN, *columns])
    writer.writerows(zip(ids, *columns.values(), strict=True))
    return text.getvalue()


def _shortened(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more
