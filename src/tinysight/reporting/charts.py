"""What the charts of a page show, as places within a frame: shares of its width and height, 0..1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.ticker import MaxNLocator

from tinysight.runs.records import Epoch

Points = list[tuple[float, float]]
Ticks = list[tuple[float, str]]

_SHARES: Ticks = [(0.0, "0 %"), (0.25, "25 %"), (0.5, "50 %"), (0.75, "75 %"), (1.0, "100 %")]


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        across, up: what its sides measure.
        x_ticks, y_ticks: which number stands where on them.
        lines: points by what they are of.
        dots: places of single points, with a share of the largest size each.
        diagonal: whether there is a line from corner to corner to compare with.
    """

    across: str
    up: str
    x_ticks: Ticks
    y_ticks: Ticks
    lines: dict[str, Points]
    dots: tuple[tuple[float, float, float], ...] = ()
    diagonal: bool = False


def learning(history: Sequence[Epoch], key: str) -> Chart:
    """Chart the loss or the accuracy over the epochs, on training and on validation images."""
    values = {name: [getattr(epoch, prefix + key) for epoch in history] for name, prefix in _SPLITS.items()}
    top = 1.0 if key == "accuracy" else max(1e-9, *(value for line in values.values() for value in line))
    last = max(1, len(history))
    return Chart(
        across="epoch",
        up=key,
        x_ticks=[(tick / last, f"{tick:g}") for tick in _ticks(last, integer=True)],
        y_ticks=_SHARES if key == "accuracy" else [(tick / top, f"{tick:g}") for tick in _ticks(top)],
        lines={
            name: [((at + 1) / last, value / top) for at, value in enumerate(line)] for name, line in values.items()
        },
    )


def reliability(bins: Sequence[Mapping[str, Any]]) -> Chart:
    """Chart how often answers are right against how sure they are."""
    most = max(one["n"] for one in bins)
    dots = tuple((one["confidence"], one["accuracy"], one["n"] / most) for one in bins)
    line = [(one["confidence"], one["accuracy"]) for one in bins]
    return Chart("confidence", "right answers", _SHARES, _SHARES, {"validation": line}, dots, diagonal=True)


def coverage(unsure: Mapping[str, Any]) -> Chart:
    """Chart how many answers are wrong against how many are given; a dot is where the classifier stands."""
    top = max(0.01, 1.15 * max(error for _, error in unsure["curve"]))
    return Chart(
        across="images answered",
        up="wrong answers",
        x_ticks=_SHARES,
        y_ticks=[(tick / top, f"{100 * tick:g} %") for tick in _ticks(top)],
        lines={"training": [(share, error / top) for share, error in unsure["curve"]]},
        dots=((unsure["coverage"], unsure["error"] / top, 0.5),),
    )


_SPLITS = {"training": "", "validation": "val_"}


def _ticks(top: float, integer: bool = False) -> list[float]:
    found = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], integer=integer).tick_values(0, top)
    return [float(tick) for tick in found if 0 <= tick <= top]
