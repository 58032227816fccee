"""Data of the SVG charts in reports; coordinates are shares of width and height, 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

from tinysight.runs.records import EpochRecord, ReliabilityBin, SelectiveMetrics

Points = list[tuple[float, float]]
Ticks = list[tuple[float, str]]

_SHARES: Ticks = [(0.0, "0%"), (0.25, "25%"), (0.5, "50%"), (0.75, "75%"), (1.0, "100%")]


@dataclass(frozen=True)
class LineChart:
    """A line chart.

    Attributes:
        across, up: labels of the x and the y axis.
        x_ticks, y_ticks: position and label of each tick.
        lines: the points of each line by its name, which is also its CSS class.
        dots: (x, y, size) of single points; sizes are relative to the largest dot, 0..1.
        diagonal: whether to draw the line y = x.
    """

    x_label: str
    y_label: str
    x_ticks: Ticks
    y_ticks: Ticks
    lines: dict[str, Points]
    dots: tuple[tuple[float, float, float], ...] = ()
    diagonal: bool = False


def learning_curve(history: Sequence[EpochRecord], key: str) -> LineChart:
    """Return the training and validation loss or accuracy over the epochs."""
    values = {name: [getattr(epoch, prefix + key) for epoch in history] for name, prefix in _SPLITS.items()}
    top = 1.0 if key == "accuracy" else max(1e-9, *(value for line in values.values() for value in line))
    last = max(1, len(history))
    return LineChart(
        x_label="epoch",
        y_label=key,
        x_ticks=[(tick / last, f"{tick:g}") for tick in _ticks(last, integer=True)],
        y_ticks=_SHARES if key == "accuracy" else [(tick / top, f"{tick:g}") for tick in _ticks(top)],
        lines={
            name: [((index + 1) / last, value / top) for index, value in enumerate(line)]
            for name, line in values.items()
        },
    )


def reliability_diagram(bins: Sequence[ReliabilityBin]) -> LineChart:
    """Return a reliability diagram: accuracy against confidence."""
    largest = max(row.n for row in bins)
    dots = tuple((row.confidence, row.accuracy, row.n / largest) for row in bins)
    line = [(row.confidence, row.accuracy) for row in bins]
    return LineChart("confidence", "accuracy", _SHARES, _SHARES, {"validation": line}, dots, diagonal=True)


def risk_coverage_curve(selective: SelectiveMetrics) -> LineChart:
    """Return the risk-coverage curve; the dot marks the threshold of the classifier."""
    top = max(0.01, 1.15 * max(error for _, error in selective.curve))
    return LineChart(
        x_label="coverage",
        y_label="error",
        x_ticks=_SHARES,
        y_ticks=[(tick / top, f"{100 * tick:g}%") for tick in _ticks(top)],
        lines={"training": [(share, error / top) for share, error in selective.curve]},
        dots=((selective.coverage, selective.error / top, 0.5),),
    )


_SPLITS = {"training": "", "validation": "val_"}


def _ticks(top: float, integer: bool = False) -> list[float]:
    ticks = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], integer=integer).tick_values(0, top)
    return [float(tick) for tick in ticks if 0 <= tick <= top]
