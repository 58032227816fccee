"""Plot of a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from tinysight.reporting import style
from tinysight.reporting.text import truncate_middle

Matrix = NDArray[np.float64]
CellMask = NDArray[np.bool_]

# Two hues with two scales: on one scale, the large diagonal would hide the mistakes. Each runs from light to dark,
# which all types of color blindness preserve.
_RIGHT = LinearSegmentedColormap.from_list("right", ["#dfedf7", "#6fb1dc"])
_WRONG = LinearSegmentedColormap.from_list("wrong", ["#fefaf5", "#f6a54c", "#b34700", "#6b2a00"])
_NO_IMAGES = "#d9d9d9"

_MOST_NUMBERS = 20  # classes; with more, numbers do not fit into the cells
_LONGEST_NAME = 22  # characters
_KEYS, _NAMES = 0.8, 1.7  # inches above and below the matrix


def plot_confusion_matrix(
    matrix: ArrayLike, class_names: Sequence[str], rates: bool, title: str, note: str = ""
) -> Figure:
    """Plot a confusion matrix: correct predictions in blue on the diagonal, mistakes in orange.

    Args:
        matrix: (classes, classes) counts of at least two classes; rows are true classes, columns predicted classes.
        class_names: names of the classes, in the order of the rows.
        rates: whether to show percentages of each row instead of counts.
        title: title of the plot: dataset, split, n, recipe.
        note: a caveat below the title.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    values, number, unit = (
        (_row_percentages(counts), "{:.1f}", "% of the true class") if rates else (counts, "{:,.0f}", "images")
    )
    names = [truncate_middle(name, _LONGEST_NAME) for name in class_names]
    side = min(max(0.72 * len(names), 3.0), 9.9)  # inches
    below = side + _NAMES
    figure = style.new_figure(_KEYS + below, title, note, _most_frequent(values, names, number + "%" * rates))
    axes = _square(figure, below)
    correct, wrong = _draw(axes, values, whole=100.0 if rates else counts.sum(axis=1).max())
    for cells, left, meaning in (correct, 0.25, "correct"), (wrong, 4.25, "mistakes"):
        _draw_key(style.add_axes(figure, left, below + 0.35, 3.2, 0.16), cells, f"{meaning}, {unit}")
        if len(names) <= _MOST_NUMBERS:
            _write_numbers(axes, cells, number, side)
    _write_names(axes, names, counts.sum(axis=1) > 0, side)
    return figure


def _row_percentages(counts: Matrix) -> Matrix:
    """Return each count as a percentage of its row; NaN in rows without images."""
    images = counts.sum(axis=1, keepdims=True)
    shares: Matrix = np.divide(100 * counts, images, out=np.full_like(counts, np.nan), where=images > 0)
    return shares


def _most_frequent(values: Matrix, names: Sequence[str], number: str) -> str:
    """Return a sentence with the three most frequent mistakes."""
    mistakes = np.nan_to_num(values) * ~np.eye(len(names), dtype=bool)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:3]
    pairs = [pair for pair in zip(*np.unravel_index(order, values.shape), strict=True) if mistakes[pair] > 0]
    parts = [f"{names[i]} predicted as {names[j]} ({number.format(values[i, j])})" for i, j in pairs]
    return f"Most frequent mistakes: {', '.join(parts)}." if parts else "No mistakes."


def _square(figure: Figure, height: float) -> Axes:
    """Return square axes in the lowest `height` inches of the figure; the layout leaves room for the labels."""
    figure.set_layout_engine("constrained", rect=(0.015, 0.01, 0.97, height / figure.get_size_inches()[1] - 0.01))
    axes = figure.add_subplot(facecolor=_NO_IMAGES, aspect="equal", anchor="NW")
    axes.spines[:].set_visible(False)
    return axes


def _draw(axes: Axes, values: Matrix, whole: float) -> tuple[QuadMesh, QuadMesh]:
    """Draw the diagonal and the mistakes, each with its own color scale."""
    wrong = ~np.eye(len(values), dtype=bool)
    # At least a twentieth of the diagonal's scale: a few mistakes of a good classifier stay pale.
    most_wrong = max(np.nanmax(values[wrong]), whole / 20)
    return _cells(axes, values, ~wrong, _RIGHT, whole), _cells(axes, values, wrong, _WRONG, most_wrong)


def _cells(axes: Axes, values: Matrix, where: CellMask, colors: Colormap, largest: float) -> QuadMesh:
    masked = np.ma.masked_where(~where | np.isnan(values), values)
    cells = axes.pcolormesh(masked, cmap=colors, vmin=0, vmax=largest)
    cells.set(edgecolor=style.PAPER, linewidth=min(1.5, 10 / len(values)))
    return cells


def _draw_key(axes: Axes, cells: QuadMesh, label: str) -> None:
    """Draw the color bar of one of the two scales."""
    ticks = MaxNLocator(4, steps=[1, 2, 5, 10])
    Colorbar(axes, cells, orientation="horizontal", ticks=ticks).outline.set_visible(False)
    axes.set_title(label, loc="left", pad=5, **style.font())
    style.style_ticks(axes)


def _write_numbers(axes: Axes, cells: QuadMesh, number: str, side: float) -> None:
    """Write each value above 0 into its cell, dark on light and light on dark."""
    values: Matrix = np.ma.filled(np.ma.asarray(cells.get_array()), 0.0)
    size = min(style.BODY, 85 * side / len(values) / len(number.format(values.max())))
    for row, column in np.argwhere(values):
        value = values[row, column]
        red, green, blue, _ = cells.cmap(cells.norm(value))
        text_style = style.font(size, style.text_color_on((red, green, blue)))
        axes.text(column + 0.5, row + 0.5, number.format(value), ha="center", va="center", **text_style)


def _write_names(axes: Axes, names: Sequence[str], has_images: CellMask, side: float) -> None:
    """Label rows and columns, in a font small enough for one line each."""
    rows = [name if any_image else f"{name} (no images)" for name, any_image in zip(names, has_images, strict=True)]
    centers = np.arange(len(names)) + 0.5
    size = min(style.BODY, 62 * side / len(names))
    axes.set_yticks(centers, rows, **style.font(size))
    axes.set_xticks(centers, names, **style.font(size, **_slant(names, side)))
    axes.tick_params(length=0)
    axes.set_ylabel("true class", labelpad=8, **style.font())
    axes.set_xlabel("predicted class", labelpad=8, **style.font())
    axes.invert_yaxis()


def _slant(names: Sequence[str], side: float) -> dict[str, Any]:
    """Return the text properties of the column labels, with the least rotation that avoids overlap."""
    if max(map(len, names)) * 0.11 < side / len(names):
        return {"rotation": 0}
    return {"rotation": 45 if len(names) <= _MOST_NUMBERS else 90, "ha": "right", "rotation_mode": "anchor"}
