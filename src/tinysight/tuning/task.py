"""A training that a process has taken from a study."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import optuna
from optuna.trial import TrialState

from tinysight.tuning.space import Values
from tinysight.tuning.trial import Outcome


@dataclass(frozen=True)
class Task:
    """One training to run.

    Attributes:
        kept: Optuna's trial, which stores the result.
        values: the recipe values to train with.
        seed: the training seed.
        of: number of the trial whose values are trained again, or None in the search.
        fresh: number of the new seed, from 1; 0 in the search.
    """

    kept: optuna.Trial
    values: Values
    seed: int
    of: int | None = None
    fresh: int = 0

    @property
    def name(self) -> str:
        """The name for display."""
        return f"trial {self.kept.number}" if self.of is None else f"trial {self.of}, new seed {self.fresh}"

    def report(self, epoch: int, accuracy: float) -> bool:
        """Store the validation accuracy after an epoch; return whether to prune the trial."""
        self.kept.report(accuracy, epoch)
        return self.kept.should_prune()

    def finish(self, outcome: Outcome) -> None:
        """Store the result."""
        for key, value in asdict(outcome).items():
            self.kept.set_user_attr(key, value)
        study = self.kept.study
        if outcome.ending == "finished":
            study.tell(self.kept, outcome.accuracy)
        else:
            study.tell(self.kept, state=TrialState.FAIL if outcome.ending == "failed" else TrialState.PRUNED)
