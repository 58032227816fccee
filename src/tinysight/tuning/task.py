"""A training that one process has taken from a study: what to do, and where to say how it goes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import optuna
from optuna.trial import TrialState

from tinysight.tuning.space import Values
from tinysight.tuning.trial import Outcome


@dataclass(frozen=True)
class Task:
    """One training.

    Attributes:
        kept: where Optuna keeps it.
        values: what to train with.
        seed: what to draw with.
        of: the trial whose values are trained again, or None in the search.
        fresh: the number of the fresh seed, from 1; 0 in the search.
    """

    kept: optuna.Trial
    values: Values
    seed: int
    of: int | None = None
    fresh: int = 0

    @property
    def name(self) -> str:
        """What people call it."""
        return f"trial {self.kept.number}" if self.of is None else f"trial {self.of}, fresh seed {self.fresh}"

    def report(self, epoch: int, accuracy: float) -> bool:
        """Keep the validation accuracy after an epoch; return whether to give up."""
        self.kept.report(accuracy, epoch)
        return self.kept.should_prune()

    def finish(self, outcome: Outcome) -> None:
        """Keep how it ended."""
        for key, value in asdict(outcome).items():
            self.kept.set_user_attr(key, value)
        study = self.kept.study
        if outcome.ending == "finished":
            study.tell(self.kept, outcome.accuracy)
        else:
            study.tell(self.kept, state=TrialState.FAIL if outcome.ending == "failed" else TrialState.PRUNED)
