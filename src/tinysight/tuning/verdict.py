"""What came of a study: whether a recipe was found that is better than the start, and not merely luckier.

The best of many trials owes part of its accuracy to chance. So it and the start are trained again with fresh seeds,
each seed for both, and the differences of these pairs decide. If that was all of it, the next best has its turn.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from scipy.stats import t as student

from tinysight.errors import TrainingError
from tinysight.tuning.pairs import Pairs, gains, pairs_of, refuted
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
        refuted: how many others came further than the start in the search, but not with fresh seeds.
    """

    chosen: Trial
    best: Trial
    start: Trial | None
    pairs: Pairs
    rival: Trial | None
    trials: int
    refuted: int = 0

    @property
    def gain(self) -> float | None:
        """By how much the rival was better than the start with fresh seeds, in the mean; None if nobody looked."""
        return statistics.mean(gains(self.pairs)) if self.pairs else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of `gain` by Student's t, of at least three pairs."""
        if len(self.pairs) < 3:
            return None
        differences = gains(self.pairs)
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
    rival, pairs = max(rivals, key=lambda one: (min(_ENOUGH, len(one[1])), statistics.mean(gains(one[1]))))
    others = sum(refuted(found) for trial, found in rivals if trial != rival)
    chosen = rival if statistics.mean(gains(pairs)) > 0 else start
    return Verdict(chosen, best, start, pairs, rival, len(trials), others)
