"""What came of a study: whether a recipe was found that is better than the start, and not merely luckier.

The best of many trials owes part of its accuracy to chance. So it and the start are trained again with fresh seeds,
each seed for both, and the differences of these pairs decide.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t as student

from tinysight.errors import TrainingError
from tinysight.tuning.study import Study, best_of
from tinysight.tuning.trial import Trial

_ENOUGH = 2  # pairs; of trials that have as many, the mean decides


@dataclass(frozen=True)
class Verdict:
    """Which recipe is to be written, and why.

    Attributes:
        chosen: the trial with its values.
        best: the trial that came furthest in the search.
        start: the trial of the recipe as it was, or None if that never came to its end.
        pairs: validation accuracies (start, chosen) of trainings with the same fresh seed; where the start is
            chosen, those of the trial that was held against it.
        rival: the trial that these pairs are about, or None if there are none.
        trials: how many were begun in the search.
    """

    chosen: Trial
    best: Trial
    start: Trial | None
    pairs: tuple[tuple[float, float], ...]
    rival: Trial | None
    trials: int

    @property
    def gain(self) -> float | None:
        """By how much the rival was better than the start with fresh seeds, in the mean; None if nobody looked."""
        return statistics.mean(_differences(self.pairs)) if self.pairs else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of `gain` by Student's t, of at least three pairs."""
        if len(self.pairs) < 3:
            return None
        differences = _differences(self.pairs)
        reach = float(student.ppf(0.975, len(differences) - 1)) * statistics.stdev(differences)
        middle = statistics.mean(differences)
        return middle - reach / math.sqrt(len(differences)), middle + reach / math.sqrt(len(differences))


def judge(study: Study) -> Verdict:
    """Return what the trials so far say.

    Raises:
        TrainingError: none of them came to its end.
    """
    trials, fresh = study.trials(), study.fresh()
    best, start = best_of(trials), study.start
    if best is None:
        errors = [trial.error for trial in trials if trial.error]
        why = f" The first that failed: {errors[0]}" if errors else ""
        raise TrainingError(
            f"No trial has come to its end; {study.path} is kept, so go on with it by the same command with --out "
            f"{study.path}.{why}"
        )
    if start is None or best == start:
        return Verdict(best, best, start, (), None, len(trials))
    again = {one.of for one in fresh}
    rivals = [
        (trial, pairs)
        for trial in trials
        if trial.number != start.number and trial.number in again and (pairs := pairs_of(start, trial, fresh))
    ]
    if not rivals:
        return Verdict(best, best, start, (), None, len(trials))
    rival, pairs = max(rivals, key=lambda one: (min(_ENOUGH, len(one[1])), _mean_gain(one[1])))
    return Verdict(rival if _mean_gain(pairs) > 0 else start, best, start, pairs, rival, len(trials))


def pairs_of(start: Trial, trial: Trial, fresh: Sequence[Trial]) -> tuple[tuple[float, float], ...]:
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


def _differences(pairs: Sequence[tuple[float, float]]) -> list[float]:
    return [one - other for other, one in pairs]


def _mean_gain(pairs: Sequence[tuple[float, float]]) -> float:
    return statistics.mean(_differences(pairs))
