"""Selection of the final recipe of a study, corrected for the luck of the best trial.

The score of the best of many trials is biased upward. It and the baseline are therefore trained again with the same
new seeds, and the paired differences decide. If the mean gain is not positive, the next best trial is tested.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from tinysight._util.errors import TrainingError
from tinysight.tuning.trial import ScorePairs, Trial, best_trial, gains, is_rejected, score_pairs

_MIN_RANKED_PAIRS = 2  # challengers with at least as many pairs are ranked by mean gain


@dataclass(frozen=True)
class Selection:
    """The selected trial and the evidence for it.

    Attributes:
        chosen: the selected trial.
        best: the trial of the search with the highest score.
        baseline: the trial of the unchanged recipe, or None if it never finished.
        pairs: validation scores (baseline, challenger) of training runs with the same new seed.
        challenger: the challenger of `pairs`, or None if there are none.
        n_trials: number of trials started in the search.
        n_rejected: number of other trials that beat the baseline in the search, but not with new seeds.
    """

    chosen: Trial
    best: Trial
    baseline: Trial | None
    pairs: ScorePairs
    challenger: Trial | None
    n_trials: int
    n_rejected: int = 0

    @property
    def gain(self) -> float | None:
        """The challenger's mean gain over the baseline with new seeds; None if not measured."""
        return statistics.mean(gains(self.pairs)) if self.pairs else None

    @property
    def gain_interval(self) -> tuple[float, float] | None:
        """The 95% confidence interval of `gain` by Student's t; None for fewer than three pairs."""
        if len(self.pairs) < 3:
            return None
        differences = gains(self.pairs)
        reach = float(stdtrit(len(differences) - 1, 0.975)) * statistics.stdev(differences)
        mean = statistics.mean(differences)
        return mean - reach / math.sqrt(len(differences)), mean + reach / math.sqrt(len(differences))


def select_best(trials: Sequence[Trial], reseeded: Sequence[Trial], baseline: Trial | None) -> Selection:
    """Select the best recipe from the trials so far.

    Args:
        trials: trials of the search.
        reseeded: training runs of some of them with new seeds.
        baseline: the trial of the unchanged recipe, or None if it has not finished.

    Raises:
        TrainingError: no trial has finished.
    """
    best = best_trial(trials)
    if best is None:
        errors = [trial.error for trial in trials if trial.error]
        first_error = f" First error: {errors[0]}" if errors else ""
        raise TrainingError(
            f"Study: no trial has finished. Tune again with the same output directory to resume.{first_error}"
        )
    if baseline is None or best == baseline:
        return Selection(best, best, baseline, (), None, len(trials))
    repeated = {training.reseed_of for training in reseeded}
    challengers = [
        (trial, pairs)
        for trial in trials
        if trial.number != baseline.number
        and trial.number in repeated
        and (pairs := score_pairs(baseline, trial, reseeded))
    ]
    if not challengers:
        return Selection(best, best, baseline, (), None, len(trials))
    challenger, pairs = max(challengers, key=_rank)
    n_rejected = sum(is_rejected(trial_pairs) for trial, trial_pairs in challengers if trial != challenger)
    chosen = challenger if statistics.mean(gains(pairs)) > 0 else baseline
    return Selection(chosen, best, baseline, pairs, challenger, len(trials), n_rejected)


def _rank(challenger: tuple[Trial, ScorePairs]) -> tuple[int, float]:
    """Return the sort key of a challenger: number of pairs up to the minimum, then mean gain."""
    _, pairs = challenger
    return min(_MIN_RANKED_PAIRS, len(pairs)), statistics.mean(gains(pairs))
