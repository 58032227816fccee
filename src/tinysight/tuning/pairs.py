"""Paired validation accuracies: baseline and challenger, trained with the same new seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tinysight.tuning.trial import Trial

Pairs = tuple[tuple[float, float], ...]
"""Validation accuracies (baseline, challenger), 0..1, one pair per seed."""

ENOUGH = 3  # pairs; without a mean gain in these, a challenger is rejected


def pairs_of(start: Trial, trial: Trial, fresh: Sequence[Trial]) -> Pairs:
    """Return the accuracies of baseline and trial for each new seed that both were trained with.

    A diverged training counts as accuracy 0; leaving it out would favor its recipe.
    """
    accuracies = {
        (training.of, training.fresh): training.accuracy if training.state == "finished" else 0.0
        for training in fresh
        if training.state in ("finished", "failed")
    }
    seeds = sorted({seed for number, seed in accuracies if number == trial.number})
    return tuple(
        (accuracies[start.number, seed], accuracies[trial.number, seed])
        for seed in seeds
        if (start.number, seed) in accuracies
    )


def gains(pairs: Pairs) -> list[float]:
    """Return the challenger's accuracy minus the baseline's, for each seed."""
    return [challenger - baseline for baseline, challenger in pairs]


def refuted(pairs: Pairs) -> bool:
    """Return whether a challenger has enough pairs and no mean gain."""
    return len(pairs) >= ENOUGH and statistics.mean(gains(pairs)) <= 0
