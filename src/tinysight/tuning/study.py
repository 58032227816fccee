"""A study: the trials of one search, shared by any number of processes through one folder.

Two searches of Optuna's stand in its journal: "search", and "fresh", which trains the start and the best again.
"""

from __future__ import annotations

import itertools
import os
import statistics
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import optuna
from optuna.distributions import FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.pruners import NopPruner, PercentilePruner
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import TrialState

from tinysight.data.cache import locked
from tinysight.errors import RunError, StorageError
from tinysight.files import new_folder, storage_errors
from tinysight.progress import SILENT
from tinysight.ranges import Plain
from tinysight.recipes.schema import Recipe
from tinysight.runs import records
from tinysight.training.randomness import derive
from tinysight.tuning import journal
from tinysight.tuning.locks import is_held
from tinysight.tuning.pairs import pairs_of, refuted
from tinysight.tuning.record import StudyRecord, with_epochs
from tinysight.tuning.space import Space, Values
from tinysight.tuning.task import Task
from tinysight.tuning.trial import Trial

DRAWN = 10  # trials that are drawn at random before any is chosen by what is known
FEW = 3  # values that differ from the start in those: all at once are nearly always worse, and say less of each
TELLING = 10  # trials that came to their end, from which on something can be said of their values
NOT_PRUNED = 4  # trials that come to their end before any is held against them
KEPT = 75.0  # percent of those that came to their end, which a trial must not be behind; with half, few ever end
_AGAIN = ("lost", "stopped")  # how a trial ended that has to be made again where it is needed
_NOBODY = -1


class Study:
    """The study in the folder `path`. Reading raises RunError, writing StorageError, each naming the file."""

    def __init__(self, path: Path, record: StudyRecord) -> None:
        self.path, self.record, self.space = path, record, Space.of(record.recipe)
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # what it has to say, our own lines say
        storage = journal.opened(self.journal)
        pruner = PercentilePruner(KEPT, n_startup_trials=NOT_PRUNED, n_warmup_steps=max(1, record.epochs // 3))
        with self._locked():
            self._search = optuna.create_study(
                storage=storage, study_name="search", direction="maximize", load_if_exists=True, pruner=pruner
            )
            self._fresh = optuna.create_study(
                storage=storage,
                study_name="fresh",
                direction="maximize",
                load_if_exists=True,
                sampler=RandomSampler(),
                pruner=NopPruner(),
            )
        self._worker = _NOBODY

    @staticmethod
    def is_at(path: Path) -> bool:
        """Whether there is a study at `path`."""
        return os.path.isfile(path / "study.json")  # unlike Path.is_file it takes any name, however long

    @classmethod
    def require_free(cls, path: Path) -> None:
        """Raise RunError if there is something at `path` that is no study."""
        with storage_errors(path):
            if path.exists() and not cls.is_at(path) and (not path.is_dir() or any(path.iterdir())):
                raise RunError(f"{path} exists already and is no study of `tinysight tune`; choose another --out.")

    @classmethod
    def begin(cls, path: Path, record: StudyRecord) -> Study:
        """Make a study in a new folder; or open the one that another process has just made there.

        Raises:
            RunError: something else is there.
        """
        cls.require_free(path)
        try:
            with new_folder(path) as draft:
                records.write(record, draft / "study.json")
        except StorageError:
            if not cls.is_at(path):
                raise
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Study:
        """Return the study at `path`."""
        return cls(path, records.read(StudyRecord, path / "study.json"))

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Be one of the processes that work on it, inside the block; others see when this one is gone."""
        with self._locked():
            self._worker = self._search.user_attrs.get("workers", 0)
            self._search.set_user_attr("workers", self._worker + 1)
        self._search.sampler = TPESampler(
            n_startup_trials=DRAWN, seed=derive(self.record.seed, "search", self._worker) % 2**32
        )
        with locked(self._presence(self._worker), SILENT):
            yield

    def search(self) -> Task:
        """Take the next trial of the search: first of all the recipe as it is."""
        with self._locked():
            self._give_up_the_lost()
            trials = self.trials()
            if not any(trial.state not in _AGAIN for trial in trials if trial.values == self.space.start):
                self._search.enqueue_trial(self.space.start)
            elif len(trials) < DRAWN:
                self._search.enqueue_trial(self._all_but_few(len(trials)))
            kept = self._search.ask(dict(self.space.distributions))
            kept.set_user_attr("worker", self._worker)
        return Task(kept, kept.params, self.record.seed)

    def train_again(self) -> Task | None:
        """Take the next training with a fresh seed, the start and its best rival by turns; None if there is no rival.

        A rival came further than the start in the search, and has not been refuted since.
        """
        with self._locked():
            self._give_up_the_lost()
            start, rival = self.start, self._rival()
            if start is None or rival is None:
                return None
            taken = {(trial.of, trial.fresh) for trial in self.fresh() if trial.state not in _AGAIN}
            turns = ((trial, seed) for seed in itertools.count(1) for trial in (start, rival))
            trial, seed = next(turn for turn in turns if (turn[0].number, turn[1]) not in taken)
            kept = self._fresh.ask()
            for key, value in {"worker": self._worker, "of": trial.number, "fresh": seed}.items():
                kept.set_user_attr(key, value)
        return Task(kept, trial.values, derive(self.record.seed, "fresh", seed), trial.number, seed)

    def settle(self) -> None:
        """Declare lost what processes were working on that are gone."""
        with self._locked():
            self._give_up_the_lost()

    @property
    def start(self) -> Trial | None:
        """The trial of the recipe as it is, once it has come to its end."""
        ended = (trial for trial in self.trials() if trial.state == "finished" and trial.values == self.space.start)
        return next(ended, None)

    def trials(self) -> list[Trial]:
        """Return the trials of the search, oldest first."""
        return [Trial.read(kept) for kept in self._search.get_trials(deepcopy=False)]

    def fresh(self) -> list[Trial]:
        """Return the trainings with fresh seeds, oldest first."""
        return [Trial.read(kept) for kept in self._fresh.get_trials(deepcopy=False)]

    def lasting(self) -> float:
        """Return how many seconds a trial takes that is not given up: the median, or a guess before there are any."""
        seconds = [trial.seconds for trial in self.trials() if trial.state == "finished"]
        return statistics.median(seconds) if seconds else self.record.trial_seconds

    def importance(self) -> dict[str, float]:
        """Return how much of the differences between ended trials each value explains; empty if they are too few."""
        if sum(trial.state == "finished" for trial in self.trials()) < TELLING:
            return {}
        return get_param_importances(self._search, evaluator=FanovaImportanceEvaluator(seed=0))

    def trial_recipe(self, values: Values) -> Recipe:
        """Return the recipe with other values, as trials train by it."""
        return with_epochs(self.space.recipe_with(values), self.record.epochs)

    def _rival(self) -> Trial | None:
        """Return the trial that is to be held against the start with fresh seeds."""
        start, fresh = self.start, self.fresh()
        if start is None:
            return None
        return best_of(
            trial
            for trial in self.trials()
            if trial.accuracy > start.accuracy and not refuted(pairs_of(start, trial, fresh))
        )

    def _all_but_few(self, number: int) -> dict[str, Plain]:
        """Return the start without some values; Optuna draws what is missing."""
        random, distributions = np.random.default_rng(derive(self.record.seed, "few", number)), self.space.distributions
        # One of them is a real number, or the few might by chance all be drawn as they were.
        first = random.choice([key for key, one in distributions.items() if isinstance(one, FloatDistribution)])
        others = random.choice([key for key in distributions if key != first], FEW - 1, replace=False)
        return {key: value for key, value in self.space.start.items() if key not in (first, *others)}

    def _give_up_the_lost(self) -> None:
        """Do so; under the lock, a trial that names no process is one whose process died as it took it."""
        for study, trials in ((self._search, self.trials()), (self._fresh, self.fresh())):
            for trial in trials:
                if trial.state == "running" and (trial.worker is None or not is_held(self._presence(trial.worker))):
                    study.tell(trial.number, state=TrialState.FAIL)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let no other process take a trial inside the block, so that none is taken twice."""
        with locked(self.path / "workers" / "lock", SILENT):
            yield

    @property
    def journal(self) -> Path:
        """The file in which everything stands."""
        return self.path / "study.journal"

    def _presence(self, worker: int) -> Path:
        return self.path / "workers" / str(worker)


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """Return the trial of the search that came to its end with the highest accuracy; of equals the oldest."""
    ended = [trial for trial in trials if trial.state == "finished"]
    return max(ended, key=lambda trial: trial.accuracy, default=None)
