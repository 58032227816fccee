"""Report sections: a summary in one line, tables and image grids.

The report and the model card render every section in the same way. The audit provides the sections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A table cell: its text, an optional detail below it, and an optional shade, 0..1 (1 is strongest)."""

    text: str
    detail: str = ""
    shade: float | None = None


@dataclass(frozen=True)
class ListedImage:
    """An image of the dataset, by its ID, and the lines of its caption."""

    image: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A row of cells, or a group of images that belong together; `highlight` marks findings."""

    cells: tuple[Cell, ...] = ()
    images: tuple[ListedImage, ...] = ()
    highlight: bool = False


@dataclass(frozen=True)
class Table:
    """A table, or an image grid if there are no columns.

    Attributes:
        columns: column headings; the first column names the row.
        rows: the rows that are shown.
        n_total: number of rows that exist; the report states when it shows fewer.
        unit: what the rows are, in the plural, such as "gaps".
        note: explanation below the table.
        heading: heading above the table; by default that of the section.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    n_total: int
    unit: str
    note: str = ""
    heading: str = ""


@dataclass(frozen=True)
class ReportSection:
    """A section of a report.

    Attributes:
        heading: heading, lowercase.
        summary: one line without a period at the end.
        tables: tables and image grids.
        missing: the input whose lack left the section without a result, such as "groups_file"; "" if none.
    """

    heading: str
    summary: str
    tables: tuple[Table, ...] = ()
    missing: str = ""


def summaries(sections: Sequence[ReportSection]) -> dict[str, str]:
    """Return the summary of each section by its heading."""
    return {section.heading: section.summary for section in sections}
