"""Plots of an evaluated run: learning curves, confusion, mistakes, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from tinysight._util.formatting import percent
from tinysight.data.dataset import Dataset, Pixels, Split
from tinysight.evaluation.evaluate import select_split
from tinysight.reporting import style
from tinysight.reporting.learning_curves import plot_learning_curves
from tinysight.reporting.style import save, truncate_middle
from tinysight.runs.records import MultiLabelMetrics, ReliabilityBin, SelectiveMetrics
from tinysight.runs.run import Run

HOW_TO_READ = (
    "Left: on the dotted line, accuracy equals confidence; above it, the classifier is underconfident. Right: error on "
    "the most confident predictions, by the share of images that they cover."
)
_LARGEST = 260  # points squared, for the bin with the most predictions


def plot_calibration(bins: Sequence[ReliabilityBin], selective: SelectiveMetrics, title: str, note: str = "") -> Figure:
    """Plot a reliability diagram and a risk-coverage curve.

    Args:
        bins: n, confidence and accuracy (0..1) of each confidence bin.
        selective: threshold, coverage, error and risk-coverage curve.
        title: title of the plot: dataset, split, n, recipe.
        note: a caveat below the title.
    """
    figure = style.new_figure(5.6, title, note, HOW_TO_READ)
    _draw_reliability(style.add_axes(figure, 0.95, 0.8, 4.4, 4.1), bins)
    _draw_coverage(style.add_axes(figure, 7.0, 0.8, 4.4, 4.1), selective)
    return figure


def calibration_panels(bins: Sequence[ReliabilityBin], selective: SelectiveMetrics) -> list[tuple[str, Figure]]:
    """Return both plots as separate figures for a page, each with its description."""
    reliability, coverage = style.new_panel(5.4, 4.5), style.new_panel(5.4, 4.5)
    _draw_reliability(style.add_axes(reliability, 0.85, 0.7, 4.3, 3.3), bins)
    _draw_coverage(style.add_axes(coverage, 0.85, 0.7, 4.3, 3.3), selective)
    return [("Accuracy by confidence", reliability), ("Error rate by coverage", coverage)]


def _draw_reliability(axes: Axes, bins: Sequence[ReliabilityBin]) -> None:
    _frame(axes, "Reliability", "confidence", "accuracy")
    axes.plot([0, 1], [0, 1], color=style.MUTED, linewidth=1.2, linestyle=":")
    largest = max(row.n for row in bins)
    sizes = [_LARGEST * row.n / largest + 12 for row in bins]
    confidences, accuracies = [row.confidence for row in bins], [row.accuracy for row in bins]
    low, high = np.array([row.accuracy_ci95 for row in bins]).T
    axes.vlines(confidences, low, high, color=style.TRAINING, linewidth=1.2, alpha=0.6)
    axes.plot(confidences, accuracies, color=style.TRAINING, linewidth=1.5)
    axes.scatter(confidences, accuracies, s=sizes, color=style.TRAINING, alpha=0.7, zorder=3)
    axes.text(
        0.03, 0.92, "dot size: number of predictions; lines: 95% intervals", **style.font(style.SMALL, style.MUTED)
    )


def _draw_coverage(axes: Axes, selective: SelectiveMetrics) -> None:
    _frame(axes, "Error by coverage", "coverage (share of images not marked unsure)", "error on these images")
    coverage, error = zip(*selective.curve, strict=True)
    axes.plot(coverage, error, color=style.TRAINING, linewidth=2.2)
    axes.set_ylim(0, max(*error, 0.01) * 1.15)
    axes.plot(selective.coverage, selective.error, "o", color=style.VALIDATION, markersize=9)
    label = f"threshold: coverage {percent(selective.coverage)},\nerror {percent(selective.error)}"
    if selective.coverage == 0:
        label = "all predictions are unsure"
    style_of_text = style.font(color=style.VALIDATION, ha="left", va="top", linespacing=1.2)
    axes.text(0.04, 0.95, label, transform=axes.transAxes, **style_of_text)


def _frame(axes: Axes, heading: str, x_label: str, y_label: str) -> None:
    style.label_axes(axes, heading, x_label, y_label)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    for scale in (axes.xaxis, axes.yaxis):
        scale.set_major_formatter(PercentFormatter(xmax=1, decimals=None))


Matrix = NDArray[np.float64]
CellMask = NDArray[np.bool_]

# Two hues with two scales: on one scale, the large diagonal would hide the mistakes. Each runs from light to dark,
# which all types of color blindness preserve. The light end is transparent, so that it suits the dark theme of a page.
_RIGHT = LinearSegmentedColormap.from_list("right", ["#0072b21f", "#0072b299"])
_WRONG = LinearSegmentedColormap.from_list("wrong", ["#d55e0008", "#d55e008c", "#b34700ff"])
_NO_IMAGES = style.RULE

_MOST_VECTORS = 40  # classes; with more, cells are an image also in vector formats
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
    values, number, unit = _values(counts, rates)
    names = [truncate_middle(name, _LONGEST_NAME) for name in class_names]
    height = _KEYS + _side(names) + _NAMES
    figure = style.new_figure(height, title, note, _most_frequent(values, names, number + "%" * rates))
    _draw_figure(figure, counts, values, names, number, unit)
    return figure


def confusion_panel(matrix: ArrayLike, class_names: Sequence[str]) -> tuple[str, Figure]:
    """Return the confusion matrix of counts as a figure for a page, with the most frequent mistakes in words."""
    counts = np.asarray(matrix, dtype=np.float64)
    values, number, unit = _values(counts, rates=False)
    names = [truncate_middle(name, _LONGEST_NAME) for name in class_names]
    longest = max(map(len, names))
    width = max(0.25 + _side(names) + 0.11 * longest + 0.9, 7.7)
    figure = style.new_panel(width, _KEYS + _side(names) + _NAMES)
    _draw_figure(figure, counts, values, names, number, unit)
    return _most_frequent(values, names, number), figure


def _values(counts: Matrix, rates: bool) -> tuple[Matrix, str, str]:
    """Return the values of the cells, their number format and their unit."""
    return (_row_percentages(counts), "{:.1f}", "% of the true class") if rates else (counts, "{:,.0f}", "images")


def _side(names: Sequence[str]) -> float:
    """Return the side of the matrix in inches."""
    return min(max(0.72 * len(names), 3.0), 9.9)


def _draw_figure(figure: Figure, counts: Matrix, values: Matrix, names: Sequence[str], number: str, unit: str) -> None:
    """Draw the matrix and the keys of its two color scales into the lower part of a figure."""
    side = _side(names)
    below = side + _NAMES
    axes = _square(figure, below)
    whole = counts.sum(axis=1).max() if values is counts else 100.0
    correct, wrong = _draw(axes, values, whole)
    for cells, left, meaning in (correct, 0.25, "correct"), (wrong, 4.25, "mistakes"):
        _draw_key(style.add_axes(figure, left, below + 0.35, 3.2, 0.16), cells, f"{meaning}, {unit}")
        if len(names) <= _MOST_NUMBERS:
            _write_numbers(axes, cells, number, side)
    _write_names(axes, names, counts.sum(axis=1) > 0, side)


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
    axes = figure.add_subplot(facecolor=style.PAPER, aspect="equal", anchor="NW")
    axes.spines[:].set_visible(False)
    return axes


def _draw(axes: Axes, values: Matrix, whole: float) -> tuple[QuadMesh, QuadMesh]:
    """Draw the diagonal and the mistakes, each with its own color scale."""
    wrong = ~np.eye(len(values), dtype=bool)
    empty = np.ma.masked_where(~np.isnan(values), np.zeros_like(values))
    axes.pcolormesh(empty, cmap=ListedColormap([_NO_IMAGES]), edgecolor=style.PAPER)
    # At least a twentieth of the diagonal's scale: a few mistakes of a good classifier stay pale.
    most_wrong = max(np.nanmax(values[wrong]), whole / 20)
    return _cells(axes, values, ~wrong, _RIGHT, whole), _cells(axes, values, wrong, _WRONG, most_wrong)


def _cells(axes: Axes, values: Matrix, where: CellMask, colors: Colormap, largest: float) -> QuadMesh:
    masked = np.ma.masked_where(~where | np.isnan(values), values)
    cells = axes.pcolormesh(masked, cmap=colors, vmin=0, vmax=largest)
    cells.set(edgecolor=style.PAPER, linewidth=min(1.5, 10 / len(values)), rasterized=len(values) > _MOST_VECTORS)
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
        *color, alpha = cells.cmap(cells.norm(value))
        red, green, blue = (alpha * channel + 1 - alpha for channel in color)  # on white
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


Probabilities = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]

_COLUMNS, _ROWS = 5, 4
# In dots: left margin, horizontal and vertical step between images, largest side of an image.
_LEFT, _STEP_X, _STEP_Y, _BOX = 26, 234, 280, 200


def plot_mistakes(
    part: Split, probabilities: Probabilities, class_names: Sequence[str], title: str, note: str = ""
) -> Figure:
    """Plot the most confident mistakes, at most 20, in descending order of confidence.

    Args:
        part: the images with their true labels.
        probabilities: (n, classes), predicted probabilities.
        class_names: names of the classes, in the order of the labels.
        title: title of the plot: dataset, split, n, recipe.
        note: a caveat below the title.
    """
    wrong = most_confident_mistakes(probabilities, part.labels, len(part))
    chosen = wrong[: _COLUMNS * _ROWS]
    rows = -(-len(chosen) // _COLUMNS)
    counts = f"{len(wrong):,} mistakes in {len(part):,} images; the {len(chosen)} most confident are shown."
    counts = counts if rows else f"No mistakes in {len(part):,} images."
    figure = style.new_figure(rows * _STEP_Y / style.DPI + 0.1, title, note, counts)
    for number, index in enumerate(chosen):
        row, column = divmod(number, _COLUMNS)
        left, top = _LEFT + column * _STEP_X, (rows - row) * _STEP_Y
        image = scale_to_box(part.pixels[index].transpose(1, 2, 0), _BOX)
        figure.figimage(image, left, top - len(image), origin="upper")
        caption = _caption(part, index, probabilities[index], class_names)
        colors = (style.INK, style.VALIDATION, style.MUTED)
        style.write_lines(figure, left, top - len(image) - 5, list(zip(caption, colors, strict=True)))
    return figure


def most_confident_mistakes(probabilities: Probabilities, labels: Labels, k: int) -> NDArray[np.intp]:
    """Return the indices of at most `k` wrong predictions, in descending order of confidence."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    order = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return wrong[order[:k]]


def _caption(part: Split, index: int, probabilities: Probabilities, class_names: Sequence[str]) -> tuple[str, str, str]:
    """Return the true class, the prediction with its confidence, and the file or index of an image."""
    predicted, confidence = int(probabilities.argmax()), float(probabilities.max())
    return (
        f"true: {truncate_middle(class_names[part.labels[index]], 20)}",
        f"pred: {truncate_middle(class_names[predicted], 12)} {percent(confidence)}",
        truncate_middle(PurePath(part.files[index]).name, 20) if part.files else f"image {index}",
    )


def scale_to_box(image: Pixels, box: int) -> Pixels:
    """Return an image, (height, width, 3), scaled to fit a square of `box` dots.

    Smaller images are enlarged by a whole factor without interpolation; larger images are reduced.
    """
    factor = box // max(image.shape[:2])
    if factor >= 1:
        return image.repeat(factor, axis=0).repeat(factor, axis=1)
    smaller = Image.fromarray(image)
    smaller.thumbnail((box, box))
    return np.asarray(smaller)


def plot_evaluation(run: Run, dataset: Dataset) -> None:
    """Plot the evaluation of a run and save the plots in its directory; for several labels per image, the curves only.

    Args:
        run: an evaluated run.
        dataset: the dataset of the run, from `open_dataset`.

    Raises:
        RunError: the run was not evaluated, or one of its files is damaged.
        StorageError: a plot cannot be written.
    """
    metrics, names = run.metrics(), dataset.class_names
    title, note = f"{metrics.recipe} on {metrics.dataset}", " ".join(metrics.notes)
    of_images = f"{title}, {metrics.split} images (n = {metrics.n:,})"
    history = [epoch.model_dump() for epoch in run.history()]
    if isinstance(metrics, MultiLabelMetrics):
        save(plot_learning_curves(history, title=title, note=note, task=metrics.task), run.plot_path("curves"))
        return
    probabilities, _ = run.predictions()
    matrix, images = metrics.confusion_matrix, select_split(run, dataset, metrics.split)
    figures = {
        "curves": plot_learning_curves(history, title=title, note=note),
        "confusion": plot_confusion_matrix(matrix, names, rates=False, title=of_images, note=note),
        "confusion-rates": plot_confusion_matrix(matrix, names, rates=True, title=of_images, note=note),
        "mistakes": plot_mistakes(images, probabilities, names, title=of_images, note=note),
        "confidence": plot_calibration(metrics.calibration.bins, metrics.selective, title=of_images, note=note),
    }
    for name, figure in figures.items():
        save(figure, run.plot_path(name))
