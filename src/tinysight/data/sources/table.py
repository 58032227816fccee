"""Data source: a table of image files, as a CSV file or a pandas DataFrame.

The columns are `image` and `label`, and optionally `split`, `group` and `time`. Names of columns and splits are not
case-sensitive. Other columns are ignored, with a note. Spaces around values are removed.
"""

from __future__ import annotations

import csv
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from tinysight._util.errors import DataError, did_you_mean
from tinysight.data.dataset import IN_MEMORY, NOT_STATED, Dataset, Provenance
from tinysight.data.image_files import FileIndex, SplitFiles, check_utf8, load_image_files
from tinysight.data.source import DataSource, LoadOptions, absolute_path, is_url
from tinysight.data.split_names import SPLIT_ALIASES, split_of

MAX_TABLE_BYTES = 2**28  # a million rows of ordinary paths have about 2**26
_REQUIRED, _OPTIONAL = ("image", "label"), ("split", "group", "time")
_COLUMNS = (*_REQUIRED, *_OPTIONAL)
_OTHER_NAMES = {
    "image": {
        "file",
        "filename",
        "file_name",
        "filepath",
        "file_path",
        "image_name",
        "image_path",
        "img",
        "name",
        "path",
    },
    "label": {"class", "class_name", "category", "choice", "species", "tag", "target", "y"},
}
_MAX_LISTED = 10  # wrong rows in an error message


class TableSource(DataSource):
    """A CSV file or a DataFrame that lists image files."""

    name = "table"
    provenance = Provenance(f"Image files listed in a table. {NOT_STATED}")

    def matches(self, spec: object) -> bool:
        """Return whether `spec` is the path of a CSV file, which may be missing, or a DataFrame."""
        if isinstance(spec, str | PathLike):
            return os.fspath(spec).lower().endswith(".csv") and not os.path.isdir(spec)
        return hasattr(spec, "columns") and hasattr(spec, "__getitem__")

    def argument(self, spec: Any) -> str:
        """Return the absolute path of a CSV file, or `IN_MEMORY` for a DataFrame."""
        return str(absolute_path(spec, "CSV")) if isinstance(spec, str | PathLike) else IN_MEMORY

    def load(self, spec: Any, options: LoadOptions) -> Dataset:
        """Decode the listed images, or read them from the cache.

        Paths are relative to the folder of a CSV file, or to the working directory for a DataFrame. Without a test
        split, a fifth of each class becomes the test split, the same on every load. Images of one group stay together.
        """
        table = read_csv(absolute_path(spec, "CSV")) if isinstance(spec, str | PathLike) else _read_frame(spec)
        size = (options.image_size, options.image_size)
        dataset = load_image_files(
            table.index(), size, options.skip_unreadable, options.progress, needs_splits=options.needs_splits
        )
        if not isinstance(spec, str | PathLike):
            dataset = replace(dataset, source="image files listed in a DataFrame")
        return replace(dataset, notes=(*table.notes, *dataset.notes))


SOURCE = TableSource()


@dataclass(frozen=True)
class Row:
    """One image of a table. `position` names the row in messages, such as "line 3"."""

    position: str
    image: str
    label: str
    split: str = ""
    group: str = ""
    time: str = ""


@dataclass(frozen=True)
class Table:
    """The valid rows of a table; `path` names it in messages, and `folder` is what its images are relative to."""

    path: Path
    folder: Path
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def index(self) -> FileIndex:
        """Return the files by split, with the class names in alphabetical order.

        Raises:
            DataError: there are fewer than two classes, a class has no training image, or a group is in two splits.
        """
        class_names = sorted({row.label for row in self.rows})
        if len(class_names) < 2:
            raise DataError(f"{self.path}: only the label {class_names[0]!r}. List images of at least two labels.")
        check_utf8([str(self.path), *(row.image for row in self.rows), *class_names])
        self._check_splits(class_names)
        labels = {name: label for label, name in enumerate(class_names)}
        splits = {}
        for name in ("train", "validation", "test"):
            if rows := [row for row in self.rows if (row.split or "train") == name]:
                splits[name] = SplitFiles(
                    tuple(row.image for row in rows),
                    tuple(labels[row.label] for row in rows),
                    tuple(row.group for row in rows if row.group),
                    tuple(row.time for row in rows) if any(row.time for row in rows) else (),
                )
        return FileIndex("table", self.path, self.folder, tuple(class_names), splits)

    def _check_splits(self, class_names: list[str]) -> None:
        trained = {row.label for row in self.rows if row.split in ("", "train")}
        if untrained := [name for name in class_names if name not in trained]:
            raise DataError(f"{self.path}: no training image of {untrained[0]!r}. Add some or remove the label.")
        split_of: dict[str, Row] = {}
        for row in self.rows:
            first = split_of.setdefault(row.group, row)
            if row.group and row.split != first.split:
                raise DataError(
                    f"{self.path}: group {row.group!r} is in {first.split} ({first.position}) and {row.split} "
                    f"({row.position}). Put each group into one split."
                )


def read_csv(path: Path) -> Table:
    """Read a CSV file with commas, in UTF-8.

    Raises:
        DataError: the file is not readable as such, too large, lacks a column, or has wrong rows.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path}: not a regular file. Name a CSV file.")
        if status.st_size > MAX_TABLE_BYTES:
            raise DataError(f"{path}: larger than {MAX_TABLE_BYTES:,} bytes. Split it into smaller tables.")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            columns, notes = _columns(header, path)
            rows = _check(_csv_rows(reader, columns, len(header)), path, path.parent)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check path and permissions.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file in UTF-8. Save it as CSV in UTF-8.") from error
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num} is not valid CSV ({error}). Correct it.") from error
    return Table(path, path.parent, rows, notes)


def _read_frame(frame: Any) -> Table:
    path = Path("DataFrame")
    columns, notes = _columns([str(name) for name in frame.columns], path)
    names = list(frame.columns)
    values = {name: list(frame[names[position]]) for name, position in columns.items()}
    rows = (
        (f"row {number}", {name: _text(column[number]) for name, column in values.items()})
        for number in range(len(values["image"]))
    )
    return Table(path, Path.cwd(), _check(rows, path, Path.cwd()), notes)


def _text(value: object) -> str:
    """Return a cell as text; missing values of pandas are not equal to themselves, or raise in a condition."""
    try:
        return "" if value is None or value != value else str(value)
    except TypeError:
        return ""


def _columns(header: list[str], path: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the position of each known column, and a note about the others."""
    names = [name.strip().lower() for name in header]
    if repeated := [name for name in _COLUMNS if names.count(name) > 1]:
        raise DataError(f"{path}: two columns {repeated[0]!r}. Remove one.")
    if missing := [name for name in _REQUIRED if name not in names]:
        hint = " Separate the columns with commas." if len(names) == 1 else did_you_mean(missing[0], names)
        for name in missing:
            if similar := [repr(other) for other in header if other.strip().lower() in _OTHER_NAMES[name]]:
                hint += f" Rename {' or '.join(similar)} to {name!r}."
        raise DataError(f"{path}: no column {missing[0]!r}. The first line names the columns.{hint}")
    others = ", ".join(repr(name) for name in header if name.strip().lower() not in _COLUMNS)
    notes = (f"Columns of the table that are not used: {others}.",) if others else ()
    return {name: names.index(name) for name in _COLUMNS if name in names}, notes


def _csv_rows(
    reader: Iterator[list[str]], columns: Mapping[str, int], width: int
) -> Iterator[tuple[str, dict[str, str] | str]]:
    """Yield the position and values of each row, or a problem instead of its values; blank lines are skipped."""
    for cells in reader:
        position = f"line {reader.line_num}"  # type: ignore[attr-defined]  # of the reader of the csv module
        if len(cells) == width:
            yield position, {name: cells[index] for name, index in columns.items()}
        elif cells:
            yield position, f"{len(cells)} values for {width} columns"


def _check(rows: Iterable[tuple[str, dict[str, str] | str]], path: Path, folder: Path) -> tuple[Row, ...]:
    """Return the rows if all are valid. Their images are relative to `folder`.

    Raises:
        DataError: there are none, or some are wrong; the message lists them.
    """
    valid: dict[str, Row] = {}
    problems = []
    for position, values in rows:
        row = values if isinstance(values, str) else _row(position, values, folder)
        if isinstance(row, Row) and (same := valid.setdefault(os.path.normpath(row.image), row)) is not row:
            row = f"the image {row.image!r} is also on {same.position}"
        if isinstance(row, str):
            problems.append(f"{position}: {row}")
    if problems:
        more = [f"and {len(problems) - _MAX_LISTED} more"] if len(problems) > _MAX_LISTED else []
        listed = "\n".join([*problems[:_MAX_LISTED], *more])
        count = f"{len(problems)} of {len(valid) + len(problems)} rows are" if len(problems) > 1 else "a row is"
        raise DataError(f"{path}: {count} wrong. Correct or remove:\n{listed}")
    if not valid:
        raise DataError(f"{path}: no images listed. Put one image on each line after the header.")
    return tuple(valid.values())


def _row(position: str, values: Mapping[str, str], folder: Path) -> Row | str:
    """Return a row, or what is wrong with it."""
    stripped = {name: value.strip() for name, value in values.items()}
    stripped["label"] = unicodedata.normalize("NFC", stripped["label"])  # as class folders are compared
    if empty := [name for name, value in stripped.items() if not value and name != "time"]:
        return f"no {empty[0]}"
    if "\0" in stripped["image"]:
        return "the image path contains a null character"
    if is_url(stripped["image"]):
        return f"the image {stripped['image']!r} is a URL. Download it and write its path here"
    stripped["image"] = _with_slashes(stripped["image"], folder)
    split = stripped.get("split")
    name = split_of(split) if split else ""
    if name is None:
        return f"unknown split {split!r}.{did_you_mean(str(split).lower(), tuple(SPLIT_ALIASES))}"
    return Row(position, **{**stripped, "split": name})


def _with_slashes(image: str, folder: Path) -> str:
    """Return a path as this system writes it: tables from Windows have backslashes."""
    path = image.replace("\\", "/")
    if path != image and not os.path.lexists(folder / image) and os.path.lexists(folder / path):
        return path
    return image
