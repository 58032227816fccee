"""What an image is called in lists: its file, or, if it never was one, its split and number, such as train/123.

Lists are CSV files with a column `image`; what other columns they have is up to who made them. Above the first line
there may be comments, each behind a #.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from itertools import dropwhile
from pathlib import Path

from tinysight.data.dataset import Dataset, Part
from tinysight.errors import DataError

COLUMN = "image"
_MOST_NAMED = 3


def names_of(part: Part, split: str) -> tuple[str, ...]:
    """Return the names of the images of a part, in their order."""
    return part.files or tuple(f"{split}/{index}" for index in range(len(part)))


def all_names(dataset: Dataset) -> frozenset[str]:
    """Return the names of all images of a dataset."""
    return frozenset(name for split, part in dataset.parts.items() for name in names_of(part, split))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a list, each with its columns by name.

    Raises:
        DataError: the file cannot be read, is no such list, or names an image twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = dropwhile(lambda line: line.startswith("#"), file)
            reader = csv.DictReader(lines, restval="", restkey="")
            rows, columns = list(reader), reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a list of images; name a CSV file.") from error
    if COLUMN not in columns:
        raise DataError(f"{path} is no list of images: its first line must name columns, one of them {COLUMN!r}.")
    if not rows:
        raise DataError(f"{path} names no images; put one on each line below the first.")
    if twice := [name for name, times in Counter(row[COLUMN] for row in rows).items() if times > 1]:
        raise DataError(f"{path} names {_some(twice)} more than once; leave one line each.")
    return rows


def read_names(path: Path) -> tuple[str, ...]:
    """Return the images that a list names, in its order. Raises DataError as `read_rows` does."""
    return tuple(row[COLUMN] for row in read_rows(path))


def require_known(names: Sequence[str], known: frozenset[str], path: Path, dataset: str) -> None:
    """Raise DataError if a list names images that the dataset does not have."""
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DataError(f"{path} names images that {dataset} does not have: {_some(unknown)}.")


def as_list(names: Sequence[str], **columns: Sequence[object]) -> str:
    """Return a list of these images, as text, with more columns if they are given."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([COLUMN, *columns])
    writer.writerows(zip(names, *columns.values(), strict=True))
    return text.getvalue()


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
