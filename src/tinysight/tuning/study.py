"""A study: the trials of one search, shared by any number of processes.

Its journal holds two Optuna studies: "search", and "fresh", which trains the baseline and its challengers with new
seeds.
"""

from __future__ import annotations

import itertools
import os
import statistics
from collections.abc import Iterator
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
from tinysight.tuning.trial import Trial, best_of

DRAWN = 10  # random trials before TPE samples
FEW = 3  # values that a random trial changes; changing all at once is nearly always worse
TELLING = 10  # finished trials required for an importance estimate
NOT_PRUNED = 4  # unpruned trials before pruning starts
KEPT = 75.0  # percentile of accuracy to keep: the worst 25 % are pruned; with 50, few trials would finish
_REPEATED = ("lost", "stopped")  # states whose training is repeated if it is needed
_NO_WORKER = -1


class Study:
    """The study in the directory `path`. Reading raises RunError, writing StorageError."""

    def __init__(self, path: Path, record: StudyRecord) -> None:
        self.path, self.record, self.space = path, record, Space.of(record.recipe)
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # the study prints its own line per trial
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
        self._worker = _NO_WORKER

    @staticmethod
    def is_at(path: Path) -> bool:
        """Return whether there is a study at `path`."""
        return os.path.isfile(path / "study.json")  # Path.is_file raises for names that are too long

    @classmethod
    def require_free(cls, path: Path) -> None:
        """Raise RunError if `path` exists and is not a study or an empty directory."""
        with storage_errors(path):
            if path.exists() and not cls.is_at(path) and (not path.is_dir() or any(path.iterdir())):
                raise RunError(f"{path}: exists and is not a tuning study. Choose another output directory.")

    @classmethod
    def begin(cls, path: Path, record: StudyRecord) -> Study:
        """Create a study in a new directory, or open the one that another process has just created.

        Raises:
            RunError: `path` holds something else.
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
        """Open the study at `path`."""
        return cls(path, records.read(StudyRecord, path / "study.json"))

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Register this process as a worker inside the block; its lock shows others that it is alive."""
        with self._locked():
            self._worker = self._search.user_attrs.get("workers", 0)
            self._search.set_user_attr("workers", self._worker + 1)
        self._search.sampler = TPESampler(
            n_startup_trials=DRAWN, seed=derive(self.record.seed, "search", self._worker) % 2**32
        )
        with locked(self._worker_lock(self._worker), SILENT):
            yield

    def search(self) -> Task:
        """Take the next trial of the search; the first is the baseline, the unchanged recipe."""
        with self._locked():
            self._fail_orphans()
            trials = self.trials()
            if not any(trial.state not in _REPEATED for trial in trials if trial.values == self.space.start):
                self._search.enqueue_trial(self.space.start)
            elif len(trials) < DRAWN:
                self._search.enqueue_trial(self._partial_values(len(trials)))
            optuna_trial = self._search.ask(dict(self.space.distributions))
            optuna_trial.set_user_attr("worker", self._worker)
        return Task(optuna_trial, optuna_trial.params, self.record.seed)

    def train_again(self) -> Task | None:
        """Take the next training with a new seed, alternately of the baseline and of the best challenger.

        A challenger beat the baseline in the search and is not rejected. Returns None if there is none.
        """
        with self._locked():
            self._fail_orphans()
            baseline, challenger = self.start, self._best_challenger()
            if baseline is None or challenger is None:
                return None
            taken = {(trial.of, trial.fresh) for trial in self.fresh() if trial.state not in _REPEATED}
            sequence = ((trial, seed) for seed in itertools.count(1) for trial in (baseline, challenger))
            trial, seed = next((trial, seed) for trial, seed in sequence if (trial.number, seed) not in taken)
            optuna_trial = self._fresh.ask()
            for key, value in {"worker": self._worker, "of": trial.number, "fresh": seed}.items():
                optuna_trial.set_user_attr(key, value)
        return Task(optuna_trial, trial.values, derive(self.record.seed, "fresh", seed), trial.number, seed)

    def settle(self) -> None:
        """Mark the running trials of dead processes as lost."""
        with self._locked():
            self._fail_orphans()

    @property
    def start(self) -> Trial | None:
        """The baseline: the trial of the unchanged recipe; None until it has finished."""
        finished = (trial for trial in self.trials() if trial.state == "finished" and trial.values == self.space.start)
        return next(finished, None)

    def trials(self) -> list[Trial]:
        """Return the trials of the search, oldest first."""
        return [Trial.read(frozen) for frozen in self._search.get_trials(deepcopy=False)]

    def fresh(self) -> list[Trial]:
        """Return the trainings with new seeds, oldest first."""
        return [Trial.read(frozen) for frozen in self._fresh.get_trials(deepcopy=False)]

    def lasting(self) -> float:
        """Return the median seconds of finished trials, or the estimate of the setup before there are any."""
        seconds = [trial.seconds for trial in self.trials() if trial.state == "finished"]
        return statistics.median(seconds) if seconds else self.record.trial_seconds

    def importance(self) -> dict[str, float]:
        """Return the fANOVA importance of each key, with sum 1; empty if too few trials have finished."""
        if sum(trial.state == "finished" for trial in self.trials()) < TELLING:
            return {}
        return get_param_importances(self._search, evaluator=FanovaImportanceEvaluator(seed=0))

    def trial_recipe(self, values: Values) -> Recipe:
        """Return the recipe with other values and the number of epochs of a trial."""
        return with_epochs(self.space.recipe_with(values), self.record.epochs)

    def _best_challenger(self) -> Trial | None:
        """Return the best trial to compare with the baseline, or None."""
        baseline, reseeded = self.start, self.fresh()
        if baseline is None:
            return None
        return best_of(
            trial
            for trial in self.trials()
            if trial.accuracy > baseline.accuracy and not refuted(pairs_of(baseline, trial, reseeded))
        )

    def _partial_values(self, number: int) -> dict[str, Plain]:
        """Return the baseline's values without `FEW` keys, which Optuna then draws at random."""
        random, distributions = np.random.default_rng(derive(self.record.seed, "few", number)), self.space.distributions
        # The first is a float: categorical values might all be drawn as in the baseline.
        first = random.choice(
            [key for key, distribution in distributions.items() if isinstance(distribution, FloatDistribution)]
        )
        others = random.choice([key for key in distributions if key != first], FEW - 1, replace=False)
        return {key: value for key, value in self.space.start.items() if key not in (first, *others)}

    def _fail_orphans(self) -> None:
        """Mark orphaned trials as failed; call under the lock.

        Under the lock, a running trial without a worker belongs to a process that died while it took the trial.
        """
        for study, trials in ((self._search, self.trials()), (self._fresh, self.fresh())):
            for trial in trials:
                if trial.state == "running" and (trial.worker is None or not is_held(self._worker_lock(trial.worker))):
                    study.tell(trial.number, state=TrialState.FAIL)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Prevent other processes from taking a trial inside the block."""
        with locked(self.path / "workers" / "lock", SILENT):
            yield

    @property
    def journal(self) -> Path:
        """The path of the journal file."""
        return self.path / "study.journal"

    def _worker_lock(self, worker: int) -> Path:
        return self.path / "workers" / str(worker)
