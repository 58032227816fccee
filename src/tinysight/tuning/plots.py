"""How a search went, and which values made the difference, at a glance."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tinysight.reporting import style
from tinysight.tuning.trial import Trial
from tinysight.tuning.verdict import Verdict

_BAR = 0.42  # inches from one bar to the next


def history(trials: Sequence[Trial], verdict: Verdict, title: str) -> Figure:
    """Plot the validation accuracy of every trial in the order of their beginning.

    Args:
        trials: those of the search; what failed or was lost is counted in the note.
        verdict: what came of them.
        title: recipe, dataset and whatever else tells this plot from others.
    """
    shown = [trial for trial in trials if trial.epochs and trial.state != "failed"]
    floor = _floor([trial.accuracy for trial in shown])
    figure = style.page(5.0, title, _note(trials, below=any(trial.accuracy < floor for trial in shown)))
    axes = style.place(figure, 1.15, 0.75, 8.0, 4.1)
    _dots(axes, shown, floor)
    _best_so_far(axes, shown)
    _name_lines(axes, verdict)
    axes.set_ylim(bottom=floor)
    _frame(axes)
    return figure


def importance(shares: Mapping[str, float], ended: int, title: str) -> Figure:
    """Plot how much of the differences between trials each value of the recipe explains.

    Args:
        shares: by key, 0..1, together 1.
        ended: how many trials they were found from.
        title: as for `history`.
    """
    note = (
        f"Estimated (fANOVA) from the {ended} trials that came to their end: the fewer they are, the rougher. A short "
        "bar does not say that a value is right, only that others in its range did as well."
    )
    height = _BAR * len(shares)
    figure = style.page(height + 1.0, f"{title}: what made the difference", note)
    axes = style.place(figure, 3.4, 0.75, 7.6, height)
    names, values = zip(*sorted(shares.items(), key=lambda share: share[1]), strict=True)
    places = range(len(names))
    axes.barh(places, values, color=style.TRAINING, height=0.6)
    for place, value in zip(places, values, strict=True):
        axes.text(value + 0.01, place, f"{100 * value:.0f} %", va="center", **style.font(style.SMALL))
    axes.set_yticks(places, labels=names)
    axes.set_xlim(0, max(values) * 1.12)
    axes.set_xlabel("share of the differences in validation accuracy", labelpad=6, **style.font())
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=" %", decimals=0))
    style.plain_frame(axes)
    axes.grid(visible=False, axis="y")
    return figure


def _note(trials: Sequence[Trial], below: bool) -> str:
    lost = sum(trial.state in ("failed", "lost") for trial in trials)
    return (
        "Full dots: trials that came to their end. Rings: given up early, with the accuracy they had then. "
        f"{'Triangles: further below. ' if below else ''}The line is the best so far."
        f"{f' {lost} failed, or were lost with their process.' if lost else ''}"
    )


def _floor(accuracies: Sequence[float]) -> float:
    """Return where the scale begins: what went quite wrong must not press all others together."""
    middle, best = float(np.median(accuracies)), max(accuracies)
    return max(0.0, middle - 3 * max(best - middle, 0.01))


def _dots(axes: Axes, trials: Sequence[Trial], floor: float) -> None:
    for trial in trials:
        inside = style.TRAINING if trial.state == "finished" else style.PAPER
        marker, height = ("v", floor) if trial.accuracy < floor else ("o", trial.accuracy)
        looks: dict[str, Any] = {"markerfacecolor": inside, "markeredgecolor": style.TRAINING, "markersize": 6.5}
        axes.plot(trial.number, height, marker, zorder=3, clip_on=False, **looks)


def _best_so_far(axes: Axes, trials: Sequence[Trial]) -> None:
    """Draw a line that only trials which came to their end can raise."""
    reached = (trial.accuracy if trial.state == "finished" else 0.0 for trial in trials)
    best = [value or np.nan for value in itertools.accumulate(reached, max)]  # no line before the first of them
    axes.step([trial.number for trial in trials], best, where="post", color=style.VALIDATION, linewidth=2.2)


def _name_lines(axes: Axes, verdict: Verdict) -> None:
    """Write beside the lines what they are; the two names keep clear of each other."""
    _beside(axes, verdict.best.accuracy, "best of the search", style.VALIDATION, "bottom")
    if verdict.start is not None:
        axes.axhline(verdict.start.accuracy, color=style.MUTED, linewidth=1.2, linestyle=":")
        _beside(axes, verdict.start.accuracy, "the recipe as it was", style.MUTED, "top")


def _beside(axes: Axes, height: float, name: str, colour: str, side: str) -> None:
    looks = style.font(colour=colour, va=side, linespacing=1.15)
    axes.text(1.02, height, f"{name}\n{100 * height:.1f} %", transform=axes.get_yaxis_transform(), **looks)


def _frame(axes: Axes) -> None:
    axes.set_xlabel("trial", labelpad=6, **style.font())
    axes.set_ylabel("validation accuracy", labelpad=8, **style.font())
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=" %", decimals=None))
    style.plain_frame(axes)
