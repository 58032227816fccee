"""Plots of a search: score by trial, and hyperparameter importance."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tinysight._util.formatting import percent
from tinysight.data.labels import Measure
from tinysight.reporting import style
from tinysight.tuning.selection import Selection
from tinysight.tuning.trial import Trial

_BAR_HEIGHT = 0.42  # inches from one bar to the next


def plot_history(trials: Sequence[Trial], selection: Selection, title: str, measure: Measure = "accuracy") -> Figure:
    """Plot the validation score of the trials, in order of their start.

    Args:
        trials: trials of the search; failed and lost ones are counted in the note.
        selection: the best trial and the baseline.
        title: recipe and dataset.
        measure: what the score is.
    """
    shown = [trial for trial in trials if trial.epochs and trial.state != "failed"]
    floor = _floor([trial.score for trial in shown])
    figure = style.new_figure(5.0, title, _note(trials, below=any(trial.score < floor for trial in shown)))
    axes = style.add_axes(figure, 1.15, 0.75, 8.0, 4.1)
    _dots(axes, shown, floor)
    _best_so_far(axes, shown)
    _label_lines(axes, selection)
    axes.set_ylim(bottom=floor)
    _frame(axes, measure)
    return figure


def plot_importance(shares: Mapping[str, float], n_finished: int, title: str, measure: Measure = "accuracy") -> Figure:
    """Plot the importance of each hyperparameter.

    Args:
        shares: fraction of the variance of the score by recipe key, 0..1; the sum is 1.
        n_finished: number of finished trials that they are estimated from.
        title: as for `plot_history`.
        measure: as for `plot_history`.
    """
    note = (
        f"fANOVA estimate from {n_finished} finished trials; it is rough if there are few. A short bar means that "
        f"other values in the range gave a similar {measure}."
    )
    height = _BAR_HEIGHT * len(shares)
    figure = style.new_figure(height + 1.0, f"{title}: hyperparameter importance", note)
    axes = style.add_axes(figure, 3.4, 0.75, 7.6, height)
    names, values = zip(*sorted(shares.items(), key=lambda item: item[1]), strict=True)
    positions = range(len(names))
    axes.barh(positions, values, color=style.TRAINING, height=0.6)
    for position, value in zip(positions, values, strict=True):
        axes.text(value + 0.01, position, percent(value), va="center", **style.font(style.SMALL))
    axes.set_yticks(positions, labels=names)
    axes.set_xlim(0, max(values) * 1.12)
    axes.set_xlabel(f"share of the variance of validation {measure}", labelpad=6, **style.font())
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    style.style_axes(axes)
    axes.grid(visible=False, axis="y")
    return figure


def _note(trials: Sequence[Trial], below: bool) -> str:
    failed = sum(trial.state in ("failed", "lost") for trial in trials)
    return (
        "Filled circles: finished trials. Open circles: pruned trials, at their last score. "
        f"{'Triangles: below the axis. ' if below else ''}Line: best so far."
        f"{f' {failed} failed or were lost.' if failed else ''}"
    )


def _floor(scores: Sequence[float]) -> float:
    """Return the lower end of the axis, so that outliers do not compress the other trials."""
    median, best = float(np.median(scores)), max(scores)
    return max(0.0, median - 3 * max(best - median, 0.01))


def _dots(axes: Axes, trials: Sequence[Trial], floor: float) -> None:
    for trial in trials:
        fill = style.TRAINING if trial.state == "finished" else style.PAPER
        marker, height = ("v", floor) if trial.score < floor else ("o", trial.score)
        marker_style: dict[str, Any] = {"markerfacecolor": fill, "markeredgecolor": style.TRAINING, "markersize": 6.5}
        axes.plot(trial.number, height, marker, zorder=3, clip_on=False, **marker_style)


def _best_so_far(axes: Axes, trials: Sequence[Trial]) -> None:
    """Draw the highest score of the finished trials so far."""
    scores = (trial.score if trial.state == "finished" else 0.0 for trial in trials)
    best = [value or np.nan for value in itertools.accumulate(scores, max)]  # no line before the first of them
    axes.step([trial.number for trial in trials], best, where="post", color=style.VALIDATION, linewidth=2.2)


def _label_lines(axes: Axes, selection: Selection) -> None:
    """Label the lines at the right; the two labels do not overlap."""
    _label(axes, selection.best.score, "best trial", style.VALIDATION, "bottom")
    if selection.baseline is not None:
        axes.axhline(selection.baseline.score, color=style.MUTED, linewidth=1.2, linestyle=":")
        _label(axes, selection.baseline.score, "baseline", style.MUTED, "top")


def _label(axes: Axes, height: float, name: str, color: str, side: str) -> None:
    font = style.font(color=color, va=side, linespacing=1.15)
    axes.text(1.02, height, f"{name}\n{percent(height)}", transform=axes.get_yaxis_transform(), **font)


def _frame(axes: Axes, measure: Measure) -> None:
    axes.set_xlabel("trial", labelpad=6, **style.font())
    axes.set_ylabel(f"validation {measure}", labelpad=8, **style.font())
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=None))
    style.style_axes(axes)
