"""What a classifier's confidence is worth: whether it is right as often as it is sure, and what "unsure" gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tinysight.reporting import style

_HOW_TO_READ = (
    "Left: on the line, answers are right as often as the classifier is sure; above it, more often. Right: the fewer "
    "answers it gives, surest first, the fewer of them are wrong."
)
_LARGEST = 260  # points squared, of the dot with the most answers


def confidence(bins: Sequence[Mapping[str, Any]], unsure: Mapping[str, Any], title: str, note: str = "") -> Figure:
    """Plot reliability beside error against coverage.

    Args:
        bins: n, confidence and accuracy (0..1) of the answers of about one confidence.
        unsure: threshold, coverage, error and curve, as in metrics.json.
        title: dataset, split, n, recipe and whatever else tells this plot from others.
        note: what a reader must know before trusting the plot.
    """
    figure = style.page(5.6, title, note, _HOW_TO_READ)
    _draw_reliability(style.place(figure, 0.95, 0.8, 4.4, 4.1), bins)
    _draw_coverage(style.place(figure, 7.0, 0.8, 4.4, 4.1), unsure)
    return figure


def _draw_reliability(axes: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    _frame(axes, "Right as often as sure?", "confidence", "share of right answers")
    axes.plot([0, 1], [0, 1], color=style.MUTED, linewidth=1.2, linestyle=":")
    most = max(one["n"] for one in bins)
    sizes = [_LARGEST * one["n"] / most + 12 for one in bins]
    confidences, accuracies = ([one[key] for one in bins] for key in ("confidence", "accuracy"))
    axes.plot(confidences, accuracies, color=style.TRAINING, linewidth=1.5)
    axes.scatter(confidences, accuracies, s=sizes, color=style.TRAINING, alpha=0.7, zorder=3)
    axes.text(0.03, 0.92, "the larger the dot, the more answers", **style.font(style.SMALL, style.MUTED))


def _draw_coverage(axes: Axes, unsure: Mapping[str, Any]) -> None:
    _frame(axes, "Wrong answers, if it may say “unsure”", "share of images answered", "share of wrong answers")
    coverage, error = zip(*unsure["curve"], strict=True)
    axes.plot(coverage, error, color=style.TRAINING, linewidth=2.2)
    axes.set_ylim(0, max(*error, 0.01) * 1.15)
    axes.plot(unsure["coverage"], unsure["error"], "o", color=style.VALIDATION, markersize=9)
    words = f"here: {unsure['coverage']:.0%} answered,\n{unsure['error']:.1%} of them wrong"
    looks = style.font(colour=style.VALIDATION, ha="left", va="top", linespacing=1.2)
    axes.text(0.04, 0.95, words, transform=axes.transAxes, **looks)


def _frame(axes: Axes, heading: str, across: str, up: str) -> None:
    axes.text(0, 1.06, heading, transform=axes.transAxes, **style.font(style.HEADING))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_xlabel(across, labelpad=6, **style.font())
    axes.set_ylabel(up, labelpad=8, **style.font())
    for scale in (axes.xaxis, axes.yaxis):
        scale.set_major_formatter(PercentFormatter(xmax=1, symbol=" %", decimals=None))
    style.plain_frame(axes)
