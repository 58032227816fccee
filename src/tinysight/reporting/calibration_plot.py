"""Reliability diagram and risk-coverage curve, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tinysight._util.formatting import percent
from tinysight.reporting import style
from tinysight.runs.records import ReliabilityBin, SelectiveMetrics

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
    axes.plot(confidences, accuracies, color=style.TRAINING, linewidth=1.5)
    axes.scatter(confidences, accuracies, s=sizes, color=style.TRAINING, alpha=0.7, zorder=3)
    axes.text(0.03, 0.92, "dot size: number of predictions", **style.font(style.SMALL, style.MUTED))


def _draw_coverage(axes: Axes, selective: SelectiveMetrics) -> None:
    _frame(axes, "Error by coverage", "coverage (share of images not marked unsure)", "error on these images")
    coverage, error = zip(*selective.curve, strict=True)
    axes.plot(coverage, error, color=style.TRAINING, linewidth=2.2)
    axes.set_ylim(0, max(*error, 0.01) * 1.15)
    axes.plot(selective.coverage, selective.error, "o", color=style.VALIDATION, markersize=9)
    label = f"threshold: coverage {percent(selective.coverage)},\nerror {percent(selective.error)}"
    style_of_text = style.font(color=style.VALIDATION, ha="left", va="top", linespacing=1.2)
    axes.text(0.04, 0.95, label, transform=axes.transAxes, **style_of_text)


def _frame(axes: Axes, heading: str, x_label: str, y_label: str) -> None:
    style.label_axes(axes, heading, x_label, y_label)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    for scale in (axes.xaxis, axes.yaxis):
        scale.set_major_formatter(PercentFormatter(xmax=1, decimals=None))
