"""How a training went: loss and accuracy over the epochs, training against validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, MaxNLocator, PercentFormatter, ScalarFormatter

from tinysight.reporting import style

Epoch = Mapping[str, Any]

# Else a reader wonders how a network can do better on images it has not learned from.
_HOW_MEASURED = (
    "Training is measured during each epoch, with any dropout, augmentation and label smoothing; validation after it, "
    "without."
)
_MOST_MARKERS = 40  # beyond that they run into each other
_LABEL_HEIGHT = 0.13  # of the axes: two lines of text


@dataclass(frozen=True)
class _Measure:
    """One panel: its key in the history, how it is called and written, and which of its values is best."""

    key: str
    heading: str
    ticks: Callable[[], Formatter]
    written: Callable[[float], str]
    best: Callable[..., tuple[int, float]]
    superlative: str
    top: float | None = None


_MEASURES = (
    _Measure("loss", "Loss (cross-entropy, nats per image)", ScalarFormatter, "{:.3g}".format, min, "lowest"),
    _Measure(
        "accuracy",
        "Accuracy (images classified correctly)",
        lambda: PercentFormatter(xmax=1, symbol=" %"),
        lambda share: f"{100 * share:.1f} %",
        max,
        "highest",
        top=1.0,
    ),
)


@dataclass(frozen=True)
class _Line:
    """The values of one split, epoch by epoch."""

    name: str
    colour: str
    points: list[tuple[int, float]]


def curves(history: Sequence[Epoch], title: str, note: str = "") -> Figure:
    """Plot loss and accuracy, training against validation, over the epochs.

    Args:
        history: the objects of history.jsonl, of which epoch, loss, accuracy, val_loss and val_accuracy
            (accuracies 0..1) are used; empty if training was interrupted in its first epoch.
        title: dataset, recipe and whatever else tells this plot from others.
        note: what a reader must know before trusting the plot.
    """
    figure = style.page(4.95, title, note, _HOW_MEASURED)
    for left, measure in zip((0.85, 6.8), _MEASURES, strict=True):
        axes = style.place(figure, left, 0.75, 4.0, 3.5)
        lines = _lines(history, measure.key) if history else []
        for line in lines:
            _draw(axes, line)
        _frame(axes, measure, history)
        _label_ends(axes, measure, lines)
        remark = _mark_best(axes, measure, lines[-1]) if lines else "no epoch was finished"
        axes.text(0, 1.05, remark, transform=axes.transAxes, **style.font(colour=style.VALIDATION))
    return figure


def _lines(history: Sequence[Epoch], key: str) -> list[_Line]:
    """Return one measure of training and of validation."""
    training = [(epoch["epoch"], epoch[key]) for epoch in history]
    validation = [(epoch["epoch"], epoch[f"val_{key}"]) for epoch in history]
    return [_Line("training", style.TRAINING, training), _Line("validation", style.VALIDATION, validation)]


def _draw(axes: Axes, line: _Line) -> None:
    epochs, values = zip(*line.points, strict=True)
    looks: dict[str, Any] = {"color": line.colour, "linestyle": "-", "linewidth": 2.2, "markersize": 4.5}
    marker = "o" if len(values) <= _MOST_MARKERS else ""
    axes.plot(epochs, values, label=line.name, marker=marker, clip_on=False, **looks)


def _frame(axes: Axes, measure: _Measure, history: Sequence[Epoch]) -> None:
    """Set the heading, ticks and limits; both measures start at 0, so that plots of two runs compare."""
    axes.text(0, 1.13, measure.heading, transform=axes.transAxes, **style.font(style.HEADING))
    axes.set_xlabel("epoch", labelpad=6, **style.font())
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(measure.ticks())
    epochs = [epoch["epoch"] for epoch in history] or [1]
    air = max(0.02 * (epochs[-1] - epochs[0]), 0.25)
    axes.set_xlim(epochs[0] - air, epochs[-1] + air)
    axes.set_ylim(bottom=0, top=measure.top)
    style.plain_frame(axes)


def _mark_best(axes: Axes, measure: _Measure, line: _Line) -> str:
    """Ring the best epoch of `line` and return what the ring means."""
    epoch, value = measure.best(line.points, key=lambda point: point[1])
    ring: dict[str, Any] = {"markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.8}
    axes.plot(epoch, value, "o", color=line.colour, clip_on=False, **ring)
    axes.axvline(epoch, color=line.colour, linewidth=1, linestyle=":", zorder=0)
    return f"○ {measure.superlative} {line.name}: {measure.written(value)}, epoch {epoch}"


def _label_ends(axes: Axes, measure: _Measure, lines: Sequence[_Line]) -> None:
    """Name each line, and its last value, where it ends; move the names apart where they would touch."""
    heights = _apart([axes.transLimits.transform(line.points[-1])[1] for line in lines])
    for line, height in zip(lines, heights, strict=True):
        text = f"{line.name}\n{measure.written(line.points[-1][1])}"
        looks = style.font(colour=line.colour, va="center", linespacing=1.15)
        axes.text(1.02, height, text, transform=axes.transAxes, **looks)


def _apart(heights: Sequence[float]) -> list[float]:
    if not heights or abs(heights[0] - heights[1]) >= _LABEL_HEIGHT:
        return list(heights)
    middle = sum(heights) / 2
    shift = _LABEL_HEIGHT / 2 if heights[0] > heights[1] else -_LABEL_HEIGHT / 2
    return [middle + shift, middle - shift]
