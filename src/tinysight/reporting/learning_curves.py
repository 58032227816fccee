"""Plot of loss and accuracy over the epochs, for training and validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, MaxNLocator, PercentFormatter, ScalarFormatter

from tinysight._util.formatting import percent
from tinysight.data.labels import Task
from tinysight.reporting import style

Epoch = Mapping[str, Any]

# Explains why validation accuracy can exceed training accuracy.
HOW_MEASURED = (
    "Training metrics are averaged during each epoch, with any dropout, augmentation and label smoothing. Validation "
    "metrics are computed after it, without these."
)
_MOST_MARKERS = 40  # more would overlap
_LABEL_HEIGHT = 0.46  # inches: two lines of text


@dataclass(frozen=True)
class _Measure:
    """One panel: key in the history, heading, number formats, and whether the lowest or highest value is best."""

    key: str
    heading: str
    ticks: Callable[[], Formatter]
    written: Callable[[float], str]
    best: Callable[..., tuple[int, float]]
    superlative: str
    top: float | None = None


_ACCURACY = _Measure(
    "accuracy",
    "Accuracy (images classified correctly)",
    lambda: PercentFormatter(xmax=1),
    percent,
    max,
    "highest",
    top=1.0,
)
_MEASURES = (
    _Measure("loss", "Loss (cross-entropy, nats per image)", ScalarFormatter, "{:.3g}".format, min, "lowest"),
    _ACCURACY,
)
_MULTI_LABEL_MEASURES = (_MEASURES[0], replace(_ACCURACY, heading="Accuracy (labels decided correctly)"))


def _measures(task: Task) -> tuple[_Measure, ...]:
    return _MULTI_LABEL_MEASURES if task == "multi-label" else _MEASURES


class _Line(NamedTuple):
    """The values of one split, epoch by epoch."""

    name: str
    color: str
    points: list[tuple[int, float]]


def plot_learning_curves(history: Sequence[Epoch], title: str, note: str = "", task: Task = "multi-class") -> Figure:
    """Plot training and validation loss and accuracy over the epochs.

    Args:
        history: records of history.jsonl with epoch, loss, accuracy, val_loss and val_accuracy (accuracies 0..1);
            empty if training was interrupted in its first epoch.
        title: title of the plot: dataset, recipe.
        note: a caveat below the title.
        task: what the accuracy is: of images, or of their labels.
    """
    figure = style.new_figure(4.95, title, note, HOW_MEASURED)
    for left, measure in zip((0.85, 6.8), _measures(task), strict=True):
        _draw_panel(style.add_axes(figure, left, 0.75, 4.0, 3.5), measure, history)
    return figure


def learning_curve_panels(history: Sequence[Epoch], task: Task = "multi-class") -> list[tuple[str, Figure]]:
    """Return the loss and the accuracy as separate figures for a page, each with its description."""
    panels = []
    for measure in _measures(task):
        figure = style.new_panel(5.7, 4.35)
        _draw_panel(style.add_axes(figure, 0.75, 0.65, 3.75, 3.0), measure, history)
        panels.append((f"{measure.heading} by epoch", figure))
    return panels


def _draw_panel(axes: Axes, measure: _Measure, history: Sequence[Epoch]) -> None:
    lines = _lines(history, measure.key) if history else []
    for line in lines:
        _draw(axes, line)
    _frame(axes, measure, history)
    _label_ends(axes, measure, lines)
    legend = _mark_best(axes, measure, lines[-1]) if lines else "no epoch finished"
    axes.text(0, 1.05, legend, transform=axes.transAxes, **style.font(color=style.VALIDATION))


def _lines(history: Sequence[Epoch], key: str) -> list[_Line]:
    """Return the training and the validation line of one metric."""
    training = [(epoch["epoch"], epoch[key]) for epoch in history]
    validation = [(epoch["epoch"], epoch[f"val_{key}"]) for epoch in history]
    return [_Line("training", style.TRAINING, training), _Line("validation", style.VALIDATION, validation)]


def _draw(axes: Axes, line: _Line) -> None:
    epochs, values = zip(*line.points, strict=True)
    line_style: dict[str, Any] = {"color": line.color, "linestyle": "-", "linewidth": 2.2, "markersize": 4.5}
    marker = "o" if len(values) <= _MOST_MARKERS else ""
    axes.plot(epochs, values, label=line.name, marker=marker, clip_on=False, **line_style)


def _frame(axes: Axes, measure: _Measure, history: Sequence[Epoch]) -> None:
    """Set the heading, ticks and limits; both axes start at 0, so that plots of two runs are comparable."""
    style.label_axes(axes, measure.heading, "epoch", "", above=33)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(measure.ticks())
    epochs = [epoch["epoch"] for epoch in history] or [1]
    margin = max(0.02 * (epochs[-1] - epochs[0]), 0.25)
    axes.set_xlim(epochs[0] - margin, epochs[-1] + margin)
    axes.set_ylim(bottom=0, top=measure.top)


def _mark_best(axes: Axes, measure: _Measure, line: _Line) -> str:
    """Circle the best epoch of `line` and return the legend of the circle."""
    epoch, value = measure.best(line.points, key=lambda point: point[1])
    ring: dict[str, Any] = {"markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.8}
    axes.plot(epoch, value, "o", color=line.color, clip_on=False, **ring)
    axes.axvline(epoch, color=line.color, linewidth=1, linestyle=":", zorder=0)
    return f"○ {measure.superlative} {line.name}: {measure.written(value)}, epoch {epoch}"


def _label_ends(axes: Axes, measure: _Measure, lines: Sequence[_Line]) -> None:
    """Label each line with its name and last value at its end; move the labels apart where they would overlap."""
    least = _LABEL_HEIGHT * style.DPI / axes.bbox.height
    heights = _apart([axes.transLimits.transform(line.points[-1])[1] for line in lines], least)
    for line, height in zip(lines, heights, strict=True):
        text = f"{line.name}\n{measure.written(line.points[-1][1])}"
        text_style = style.font(color=line.color, va="center", linespacing=1.15)
        axes.text(1.02, height, text, transform=axes.transAxes, **text_style)


def _apart(heights: Sequence[float], least: float) -> list[float]:
    """Return two heights that differ by at least `least`."""
    if not heights or abs(heights[0] - heights[1]) >= least:
        return list(heights)
    middle = sum(heights) / 2
    shift = least / 2 if heights[0] > heights[1] else -least / 2
    return [middle + shift, middle - shift]
