"""Data source: a table of image files, as a CSV file or a pandas DataFrame.

The columns are `image` and `label`, and optionally `split`, `group` and `time`. Names of columns and splits are not
case-sensitive. Other columns are ignored, with a note. Spaces around values are removed. Instead of `split`, columns of
0 and 1 (or False and True) such as `is_valid` and `is_test` may mark the images of a split.

If images may have several labels, the table has a column `labels`, with `|` between the labels of an image, or no such
column and one column of 0 and 1 for each label.
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
from typing import Any, NamedTuple

import numpy as np

from tinysight._util.errors import DataError, did_you_mean
from tinysight.data.dataset import IN_MEMORY, NOT_STATED, Dataset, Provenance
from tinysight.data.image_files import FileIndex, SplitFiles, check_utf8, load_image_files
from tinysight.data.labels import SEPARATOR, check_label_names, is_missing_value
from tinysight.data.source import DataSource, LoadOptions, absolute_path, is_url
from tinysight.data.source_report import SourceReport, one_line, truncated
from tinysight.data.split_names import SPLIT_ALIASES, SPLITS, split_of

MAX_TABLE_BYTES = 2**28  # a million rows of ordinary paths have about 2**26
_COLUMNS = ("image", "label", "labels", "split", "group", "time")
_MAY_BE_EMPTY = ("labels", "time")
_FLAGS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}  # cells of a column that is a label or a split
_OTHER_SEPARATORS = ",;"  # that people use between labels
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
        """Return whether `spec` is the path of a CSV file, which may be missing, a DataFrame or a `Table`."""
        if isinstance(spec, Table):
            return True
        if isinstance(spec, str | PathLike):
            return os.fspath(spec).lower().endswith(".csv") and not os.path.isdir(spec)
        return hasattr(spec, "columns") and hasattr(spec, "__getitem__")

    def argument(self, spec: Any) -> str:
        """Return the absolute path of a CSV file, or `IN_MEMORY` for a DataFrame."""
        spec = spec.path if isinstance(spec, Table) else spec
        return str(absolute_path(spec, "CSV")) if isinstance(spec, str | PathLike) else IN_MEMORY

    def load(self, spec: Any, options: LoadOptions) -> Dataset:
        """Decode the listed images, or read them from the cache.

        Paths are relative to the folder of a CSV file, or to the working directory for a DataFrame. Without a test
        split, a fifth of each class becomes the test split, the same on every load. Images of one group stay together.
        """
        table = spec if isinstance(spec, Table) else _read(spec)
        size = (options.image_size, options.image_size)
        dataset = load_image_files(
            table.index(options.needs_splits),
            size,
            options.skip_unreadable,
            options.progress,
            needs_splits=options.needs_splits,
            read_pixels=options.read_pixels,
        )
        if not isinstance(spec, str | PathLike | Table):
            dataset = replace(dataset, source="image files listed in a DataFrame")
        return replace(dataset, notes=(*table.notes, *dataset.notes))


SOURCE = TableSource()


def _read(spec: Any) -> Table:
    return read_csv(absolute_path(spec, "CSV")) if isinstance(spec, str | PathLike) else _read_frame(spec)


@dataclass(frozen=True)
class Row:
    """One image of a table. `position` names the row in messages, such as "line 3".

    The image has either one `label`, or any number of `labels`.
    """

    position: str
    image: str
    label: str = ""
    labels: frozenset[str] = frozenset()
    split: str = ""
    group: str = ""
    time: str = ""

    @property
    def names(self) -> frozenset[str]:
        """All labels of the image."""
        return frozenset([self.label]) if self.label else self.labels


@dataclass(frozen=True)
class Table:
    """The valid rows of a table.

    Attributes:
        path: names the table in messages.
        folder: what its images are relative to.
        rows: at least one.
        layout: its columns.
    """

    path: Path
    folder: Path
    rows: tuple[Row, ...]
    layout: Layout

    @property
    def notes(self) -> tuple[str, ...]:
        """A note about the columns that are not used."""
        unused = ", ".join(repr(name) for name in self.layout.unused)
        return (f"Columns of the table that are not used: {unused}.",) if unused else ()

    def index(self, needs_splits: bool = True) -> FileIndex:
        """Return the files by split, with the class names in alphabetical order, or that of their columns.

        If `needs_splits` is false, one class is enough, and it needs no training image. A table without any training
        image has the split train only: its test images, or else its validation images.

        Raises:
            DataError: there are fewer than two classes, a class has no training image, or a group is in two splits.
        """
        class_names = list(self.layout.flags) or sorted(frozenset().union(*(row.names for row in self.rows)))
        if len(class_names) < (2 if needs_splits else 1):
            only = f"only the label {class_names[0]!r}" if class_names else "no labels"
            raise DataError(f"{self.path}: {only}. List images of at least two labels.")
        check_utf8([str(self.path), *(row.image for row in self.rows), *class_names])
        self._check_groups()
        if needs_splits:
            self._check_training(class_names)
        rows_of = {name: [row for row in self.rows if (row.split or "train") == name] for name in SPLITS}
        if not rows_of["train"]:
            rows_of = {"train": rows_of["test"] or rows_of["validation"]}
        labels = {name: label for label, name in enumerate(class_names)}
        splits = {}
        for name, rows in rows_of.items():
            if rows:
                splits[name] = SplitFiles(
                    tuple(row.image for row in rows),
                    tuple(
                        tuple(int(label in row.labels) for label in class_names)
                        if self.layout.is_multi_label
                        else labels[row.label]
                        for row in rows
                    ),
                    tuple(row.group for row in rows if row.group),
                    tuple(row.time for row in rows) if any(row.time for row in rows) else (),
                )
        report = SourceReport(remarks=tuple(self._remarks(class_names)))
        return FileIndex("table", self.path, self.folder, tuple(class_names), splits, report)

    def _remarks(self, class_names: list[str]) -> Iterator[str]:
        """Yield how splits and labels were read, if the table does not leave a single way to read them."""
        if marks := [f"{split} by {one_line(name)!r}" for split, (name, _) in self.layout.split_flags.items()]:
            yield f"Images are split by columns of 0 and 1: {', '.join(marks)}."
        if self.layout.is_multi_label:
            unlabeled = sum(not row.labels for row in self.rows)
            names = truncated([one_line(name) for name in class_names], ", ")
            yield f"Several labels per image: {names}. {unlabeled:,} of {len(self.rows):,} images have none."
        elif piped := [name for name in class_names if SEPARATOR in name]:
            yield (
                f"The label {one_line(piped[0])!r} is read as one class. If it means several labels, rename "
                "the column label to labels."
            )

    def _check_training(self, class_names: list[str]) -> None:
        trained = frozenset().union(*(row.names for row in self.rows if row.split in ("", "train")))
        if untrained := [name for name in class_names if name not in trained]:
            raise DataError(f"{self.path}: no training image of {untrained[0]!r}. Add some or remove the label.")

    def _check_groups(self) -> None:
        split_of: dict[str, Row] = {}
        for row in self.rows:
            first = split_of.setdefault(row.group, row)
            if row.group and row.split != first.split:
                raise DataError(
                    f"{self.path}: group {row.group!r} is in {first.split} ({first.position}) and {row.split} "
                    f"({row.position}). Put each group into one split."
                )


class Layout(NamedTuple):
    """The positions of the columns of a table.

    Attributes:
        columns: by name, of the columns with a meaning.
        flags: by name, of the columns that are a label each; empty if there is a column `label` or `labels`.
        split_flags: by split, name and position of the column that marks its images; empty with a column `split`.
        unused: names of all other columns.
    """

    columns: dict[str, int]
    flags: dict[str, int]
    split_flags: dict[str, tuple[str, int]]
    unused: tuple[str, ...] = ()

    @property
    def is_multi_label(self) -> bool:
        """Whether images may have several labels."""
        return "label" not in self.columns


Cells = Mapping[int, str]
"""The cells of a row by position."""


def read_csv(path: Path) -> Table:
    """Read a CSV file with commas, in UTF-8.

    Raises:
        DataError: the file is not readable as such, too large, lacks a column, or has wrong rows.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path}: not a regular file. Pass a CSV file.")
        if status.st_size > MAX_TABLE_BYTES:
            raise DataError(f"{path}: larger than {MAX_TABLE_BYTES:,} bytes. Split it into smaller tables.")
        with path.open(encoding="utf-8-sig", newline="") as file:
            return parse_csv(file, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check path and permissions.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file in UTF-8. Save it as CSV in UTF-8.") from error


def parse_csv(lines: Iterable[str], path: Path) -> Table:
    """Return the table in the lines of a CSV file at `path`. Raises DataError as `read_csv` does."""
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, [])
        rows, layout = _read_rows(_csv_rows(reader, len(header)), header, path, path.parent)
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num} is not valid CSV ({error}). Correct it.") from error
    return Table(path, path.parent, rows, layout)


def _csv_rows(reader: Iterator[list[str]], width: int) -> Iterator[tuple[str, Cells | str]]:
    """Yield the position and cells of each row, or a problem instead of its cells; blank lines are skipped."""
    for cells in reader:
        position = f"line {reader.line_num}"  # type: ignore[attr-defined]  # of the reader of the csv module
        if len(cells) == width:
            yield position, dict(enumerate(cells))
        elif cells:
            yield position, f"{len(cells)} values for {width} columns"


def _read_frame(frame: Any) -> Table:
    path, names = Path("DataFrame"), list(frame.columns)
    header = [str(name) for name in names]
    columns = _find_columns(header, path)
    marks = [position for _, position in _find_split_flags(header, columns, path).values()]
    needed = [*columns.values(), *marks] if {"label", "labels"} & columns.keys() else range(len(names))
    values = {position: [_text(value) for value in frame[names[position]]] for position in needed}
    rows = (
        (f"row {number}", {position: column[number] for position, column in values.items()})
        for number in range(len(values[columns["image"]]))
    )
    checked, layout = _read_rows(rows, header, path, Path.cwd())
    return Table(path, Path.cwd(), checked, layout)


def _text(value: object) -> str:
    """Return a cell as text; a list or set holds several labels."""
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return SEPARATOR.join(map(str, value))
    return "" if value is None or is_missing_value(value) else str(value)


def _find_columns(header: list[str], path: Path) -> dict[str, int]:
    """Return the position of each column with a meaning."""
    names = [name.strip().lower() for name in header]
    if repeated := [name for name in _COLUMNS if names.count(name) > 1]:
        raise DataError(f"{path}: two columns {repeated[0]!r}. Remove one.")
    if "image" not in names:
        raise _missing_column("image", header, path)
    if {"label", "labels"} <= set(names):
        raise DataError(f"{path}: a column 'label' and a column 'labels'. Remove one.")
    return {name: names.index(name) for name in _COLUMNS if name in names}


def _find_split_flags(header: list[str], columns: Mapping[str, int], path: Path) -> dict[str, tuple[str, int]]:
    """Return the columns that mark the images of a split, such as `is_valid`. A column `split` replaces them.

    Only names that begin with "is" count: a column `valid` may mean that an image is not damaged.
    """
    found: dict[str, tuple[str, int]] = {}
    for position, name in enumerate(header if "split" not in columns else ()):
        is_flag, split = name.strip().lower().startswith(("is_", "is ", "is-")), split_of(name.strip()[3:])
        if not is_flag or not split:
            continue
        if split in found:
            raise DataError(f"{path}: the columns {found[split][0]!r} and {name!r} mean the same split. Remove one.")
        found[split] = (name, position)
    return found


def _missing_column(missing: str, header: list[str], path: Path) -> DataError:
    """Return the error about a missing column, with a hint from the names of the others."""
    names = [name.strip().lower() for name in header]
    hint = " Separate the columns with commas." if len(names) == 1 else did_you_mean(missing, names)
    for required in ("image", "label"):
        is_there = required in names or (required == "label" and "labels" in names)
        similar = [repr(name) for name in header if name.strip().lower() in _OTHER_NAMES[required]]
        if similar and not is_there:
            hint += f" Rename {' or '.join(similar)} to {required!r}."
    return DataError(f"{path}: no column {missing!r}. The first line names the columns.{hint}")


def _read_rows(
    rows: Iterable[tuple[str, Cells | str]], header: list[str], path: Path, folder: Path
) -> tuple[tuple[Row, ...], Layout]:
    """Return the rows and the layout of a table. Its images are relative to `folder`.

    Raises:
        DataError: a column is missing, or rows are wrong.
    """
    columns = _find_columns(header, path)
    split_flags = _find_split_flags(header, columns, path)
    known = {*columns.values(), *(position for _, position in split_flags.values())}
    others = [position for position in range(len(header)) if position not in known]
    if "label" in columns or "labels" in columns:
        layout = Layout(columns, {}, split_flags, tuple(header[position] for position in others))
    else:
        rows = list(rows)
        layout = Layout(columns, _find_flags(rows, others, header, path), split_flags)
    checked = _check(((position, cells) for position, cells in rows), layout, path, folder)
    if "labels" in columns:
        _check_separators(checked, path)
    return checked, layout


def _find_flags(
    rows: list[tuple[str, Cells | str]], others: list[int], header: list[str], path: Path
) -> dict[str, int]:
    """Return the columns that are labels: all others, each with cells of 0 and 1."""
    names = [_normalized(name) for name in header]
    cells_of = {
        position: {cells[position].strip().lower() for _, cells in rows if not isinstance(cells, str)}
        for position in others
    }
    is_label_column = any(names[position].lower() in _OTHER_NAMES["label"] for position in others)
    if is_label_column or not any(cells and cells <= _FLAGS.keys() for cells in cells_of.values()):
        raise _missing_column("label", header, path)
    check_label_names([names[position] for position in others], str(path))
    for position, cells in cells_of.items():
        if not cells & _FLAGS.keys():
            raise DataError(
                f"{path}: the column {names[position]!r} has no 0 or 1. Without a column 'label' or 'labels', all "
                "columns but 'image', 'split', 'group' and 'time' are labels. Remove that column."
            )
    return {names[position]: position for position in others}


def _normalized(name: str) -> str:
    """Return a label without spaces around it, in the Unicode form in which class folders are compared."""
    return unicodedata.normalize("NFC", name.strip())


def _check_separators(rows: tuple[Row, ...], path: Path) -> None:
    """Raise DataError if the labels of each image are separated by a character other than `SEPARATOR`."""
    if any(len(row.labels) > 1 for row in rows):
        return
    for row in rows:
        for label in row.labels:
            if used := [character for character in _OTHER_SEPARATORS if character in label]:
                raise DataError(
                    f"{path}: {row.position} has {used[0]!r} in the label {label!r}, and no row has {SEPARATOR!r}. "
                    f"Separate labels with {SEPARATOR!r}."
                )


def _check(rows: Iterable[tuple[str, Cells | str]], layout: Layout, path: Path, folder: Path) -> tuple[Row, ...]:
    """Return the rows if all are valid. Their images are relative to `folder`.

    Raises:
        DataError: there are none, or some are wrong; the message lists them.
    """
    valid: dict[str, Row] = {}
    problems = []
    for position, cells in rows:
        row = cells if isinstance(cells, str) else _row(position, cells, layout, folder)
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


def _row(position: str, cells: Cells, layout: Layout, folder: Path) -> Row | str:
    """Return a row, or what is wrong with it."""
    values = {name: cells[index].strip() for name, index in layout.columns.items()}
    if empty := [name for name, value in values.items() if not value and name not in _MAY_BE_EMPTY]:
        return f"no {empty[0]}"
    if "\0" in values["image"]:
        return "the image path contains a null character"
    if is_url(values["image"]):
        return f"the image {values['image']!r} is a URL. Download it and write its path here"
    values["image"] = _with_slashes(values["image"], folder)
    named, marked = values.pop("split", ""), _marked_splits(cells, layout)
    if isinstance(marked, str):
        return marked
    split = split_of(named) if named else "".join(marked)
    if split is None:
        return f"unknown split {named!r}.{did_you_mean(named.lower(), tuple(SPLIT_ALIASES))}"
    label, listed = (_normalized(values.pop(name, "")) for name in ("label", "labels"))
    if listed.startswith("[") and listed.endswith("]"):
        return f"the labels {listed} are a list. Separate labels with {SEPARATOR!r}"
    flags = {name: cells[index].strip() for name, index in layout.flags.items()}
    if wrong := [name for name, value in flags.items() if value.lower() not in _FLAGS]:
        return f"the label {wrong[0]!r} is neither 0 nor 1, but {flags[wrong[0]]!r}"
    labels = {name.strip() for name in listed.split(SEPARATOR)} - {""}
    labels |= {name for name, value in flags.items() if _FLAGS[value.lower()]}
    return Row(position, label=label, labels=frozenset(labels), split=split, **values)


def _marked_splits(cells: Cells, layout: Layout) -> list[str] | str:
    """Return the split that a column such as `is_valid` marks the image of a row for, or what is wrong with the row.

    An image without a mark is a training image; or a test image if the only column marks training images. Without such
    columns, there is no split.
    """
    marks = layout.split_flags
    values = {split: cells[position].strip() for split, (_, position) in marks.items()}
    if wrong := [split for split, value in values.items() if value.lower() not in _FLAGS]:
        return f"{marks[wrong[0]][0]!r} is neither 0 nor 1, but {values[wrong[0]]!r}"
    marked = [split for split, value in values.items() if _FLAGS[value.lower()]]
    names = " and ".join(repr(name) for name, _ in marks.values())
    if len(marked) > 1:
        return f"{names} are more than one split"
    if marked or not marks:
        return marked
    if "train" not in marks:
        return ["train"]
    return ["test"] if len(marks) == 1 else f"{names} are all 0"


def _with_slashes(image: str, folder: Path) -> str:
    """Return a path as this system writes it: tables from Windows have backslashes."""
    path = image.replace("\\", "/")
    if path != image and not os.path.lexists(folder / image) and os.path.lexists(folder / path):
        return path
    return image
