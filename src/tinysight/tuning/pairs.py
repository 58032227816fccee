"""Pairs of trainings with the same fresh seed: the recipe as it was, and a rival that came further in the search."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tinysight.tuning.trial import Trial

Pairs = tuple[tuple[float, float], ...]
"""Validation accuracies, 0..1, of the recipe as it was and of the rival, a pair for each seed."""

ENOUGH = 3  # pairs without a gain in the mean, after which the next rival has its turn


def pairs_of(start: Trial, trial: Trial, fresh: Sequence[Trial]) -> Pairs:
    """Return the accuracies of start and trial for each fresh seed that both were trained with.

    A training that diverged counts as no right answer at all: left out, it would make its recipe look better.
    """
    found = {
        (one.of, one.fresh): one.accuracy if one.state == "finished" else 0.0
        for one in fresh
        if one.state in ("finished", "failed")
    }
    seeds = sorted({seed for of, seed in found if of == trial.number})
    return tuple(
        (found[start.number, seed], found[trial.number, seed]) for seed in seeds if (start.number, seed) in found
    )


def gains(pairs: Pairs) -> list[float]:
    """Return by how much the rival was better, for each seed."""
    return [after - before for before, after in pairs]


def refuted(pairs: Pairs) -> bool:
    """Whether a rival has shown that what it gained in the search was luck."""
    return len(pairs) >= ENOUGH and statistics.mean(gains(pairs)) <= 0
