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
from optuna.pruners import NopPruner, PercentilePruner
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import TrialState
from pydantic import Field

from tinysight._util.errors import RunError, StorageError
from tinysight._util.files import atomic_dir, storage_errors
from tinysight._util.locks import file_lock, is_locked
from tinysight.data.labels import Measure, Task, measure_of
from tinysight.recipes.schema import Recipe
from tinysight.recipes.search_space import Scalar
from tinysight.runs import records
from tinysight.runs.records import Finite, Record
from tinysight.training.device import Device
from tinysight.training.precision import Precision
from tinysight.training.seeding import derive_seed
from tinysight.tuning import journal
from tinysight.tuning.space import RecipeValues, SearchSpace
from tinysight.tuning.trial import Trial, TrialTask, best_trial, is_rejected, score_pairs

N_RANDOM = 10  # random trials before TPE samples
N_PERTURBED = 3  # values that a random trial changes; changing all at once is nearly always worse
MIN_FOR_IMPORTANCE = 10  # finished trials required for an importance estimate
N_UNPRUNED = 4  # unpruned trials before pruning starts
PRUNE_PERCENTILE = 75.0  # percentile of the scores to keep: the worst 25 % are pruned; with 50, few trials would finish
_REPEATED = ("lost", "stopped")  # states whose training is repeated if it is needed
_NO_WORKER = -1


class Study:
    """The study in the directory `path`. Reading raises RunError, writing StorageError."""

    def __init__(self, path: Path, record: StudyRecord) -> None:
        self.path, self.record, self.space = path, record, SearchSpace.of(record.recipe)
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # the study prints its own line per trial
        storage = journal.open_journal(self.journal_path)
        pruner = PercentilePruner(
            PRUNE_PERCENTILE, n_startup_trials=N_UNPRUNED, n_warmup_steps=max(1, record.epochs // 3)
        )
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
    def exists_at(path: Path) -> bool:
        """Return whether there is a study at `path`."""
        return os.path.isfile(path / "study.json")  # Path.is_file raises for names that are too long

    @classmethod
    def check_available(cls, path: Path) -> None:
        """Raise RunError if `path` exists and is not a study or an empty directory."""
        with storage_errors(path):
            if path.exists() and not cls.exists_at(path) and (not path.is_dir() or any(path.iterdir())):
                raise RunError(f"{path}: exists and is not a tuning study. Choose another output directory.")

    @classmethod
    def create(cls, path: Path, record: StudyRecord) -> Study:
        """Create a study in a new directory, or open the one that another process has just created.

        Raises:
            RunError: `path` holds something else.
        """
        cls.check_available(path)
        try:
            with atomic_dir(path) as draft:
                records.write_record(record, draft / "study.json")
        except StorageError:
            if not cls.exists_at(path):
                raise
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Study:
        """Open the study at `path`."""
        return cls(path, records.read_record(StudyRecord, path / "study.json"))

    @contextmanager
    def join(self) -> Iterator[None]:
        """Register this process as a worker inside the block; its lock shows others that it is alive."""
        with self._locked():
            self._worker = self._search.user_attrs.get("workers", 0)
            self._search.set_user_attr("workers", self._worker + 1)
        self._search.sampler = TPESampler(
            n_startup_trials=N_RANDOM, seed=derive_seed(self.record.seed, "search", self._worker) % 2**32
        )
        with file_lock(self._worker_lock(self._worker)):
            yield

    def next_trial(self) -> TrialTask:
        """Take the next trial of the search; the first is the baseline, the unchanged recipe."""
        with self._locked():
            self._fail_orphans()
            trials = self.trials()
            if not any(trial.state not in _REPEATED for trial in trials if trial.values == self.space.baseline):
                self._search.enqueue_trial(self.space.baseline)
            elif len(trials) < N_RANDOM:
                self._search.enqueue_trial(self._partial_values(len(trials)))
            optuna_trial = self._search.ask(dict(self.space.distributions))
            optuna_trial.set_user_attr("worker", self._worker)
        return TrialTask(optuna_trial, optuna_trial.params, self.record.seed)

    def next_reseeded(self) -> TrialTask | None:
        """Take the next training with a new seed, alternately of the baseline and of the best challenger.

        A challenger beat the baseline in the search and is not rejected. Returns None if there is none.
        """
        with self._locked():
            self._fail_orphans()
            baseline, challenger = self.baseline, self._best_challenger()
            if baseline is None or challenger is None:
                return None
            taken = {
                (trial.reseed_of, trial.reseed_number)
                for trial in self.reseeded_trials()
                if trial.state not in _REPEATED
            }
            sequence = ((trial, seed) for seed in itertools.count(1) for trial in (baseline, challenger))
            trial, seed = next((trial, seed) for trial, seed in sequence if (trial.number, seed) not in taken)
            optuna_trial = self._fresh.ask()
            for key, value in {"worker": self._worker, "of": trial.number, "fresh": seed}.items():
                optuna_trial.set_user_attr(key, value)
        return TrialTask(optuna_trial, trial.values, derive_seed(self.record.seed, "fresh", seed), trial.number, seed)

    def fail_orphans(self) -> None:
        """Mark the running trials of dead processes as lost."""
        with self._locked():
            self._fail_orphans()

    @property
    def baseline(self) -> Trial | None:
        """The baseline: the trial of the unchanged recipe; None until it has finished."""
        finished = (
            trial for trial in self.trials() if trial.state == "finished" and trial.values == self.space.baseline
        )
        return next(finished, None)

    def trials(self) -> list[Trial]:
        """Return the trials of the search, oldest first."""
        return [Trial.from_optuna(frozen) for frozen in self._search.get_trials(deepcopy=False)]

    def reseeded_trials(self) -> list[Trial]:
        """Return the training runs with new seeds, oldest first."""
        return [Trial.from_optuna(frozen) for frozen in self._fresh.get_trials(deepcopy=False)]

    def median_trial_seconds(self) -> float:
        """Return the median seconds of finished trials, or the estimate of the setup before there are any."""
        seconds = [trial.seconds for trial in self.trials() if trial.state == "finished"]
        return statistics.median(seconds) if seconds else self.record.trial_seconds

    def importance(self) -> dict[str, float]:
        """Return the fANOVA importance of each key, with sum 1; empty if too few trials finished or all are equal."""
        scores = [trial.score for trial in self.trials() if trial.state == "finished"]
        if len(scores) < MIN_FOR_IMPORTANCE or min(scores) == max(scores):
            return {}
        # imported here, because it imports scikit-learn, which takes a second
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        return get_param_importances(self._search, evaluator=FanovaImportanceEvaluator(seed=0))

    def trial_recipe(self, values: RecipeValues) -> Recipe:
        """Return the recipe with other values and the number of epochs of a trial."""
        return with_epochs(self.space.recipe_with(values), self.record.epochs)

    def _best_challenger(self) -> Trial | None:
        """Return the best trial to compare with the baseline, or None."""
        baseline, reseeded = self.baseline, self.reseeded_trials()
        if baseline is None:
            return None
        return best_trial(
            trial
            for trial in self.trials()
            if trial.score > baseline.score and not is_rejected(score_pairs(baseline, trial, reseeded))
        )

    def _partial_values(self, number: int) -> dict[str, Scalar]:
        """Return the baseline's values without `N_PERTURBED` keys, which Optuna then draws at random."""
        random, distributions = (
            np.random.default_rng(derive_seed(self.record.seed, "few", number)),
            self.space.distributions,
        )
        # The first is a float: categorical values might all be drawn as in the baseline.
        first = random.choice(
            [key for key, distribution in distributions.items() if isinstance(distribution, FloatDistribution)]
        )
        others = random.choice([key for key in distributions if key != first], N_PERTURBED - 1, replace=False)
        return {key: value for key, value in self.space.baseline.items() if key not in (first, *others)}

    def _fail_orphans(self) -> None:
        """Mark orphaned trials as failed; call under the lock.

        Under the lock, a running trial without a worker belongs to a process that died while it took the trial.
        """
        for study, list_trials in ((self._search, self.trials), (self._fresh, self.reseeded_trials)):
            workers = {trial.worker for trial in list_trials() if trial.state == "running"}
            dead = {worker for worker in workers if worker is None or not is_locked(self._worker_lock(worker))}
            for trial in list_trials():  # listed again: a process may have finished its trial before it exited
                if trial.state == "running" and trial.worker in dead:
                    study.tell(trial.number, state=TrialState.FAIL)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Prevent other processes from taking a trial inside the block."""
        with file_lock(self.path / "workers" / "lock"):
            yield

    @property
    def journal_path(self) -> Path:
        """The path of the journal file."""
        return self.path / "study.journal"

    def _worker_lock(self, worker: int) -> Path:
        return self.path / "workers" / str(worker)


class StudyRecord(Record):
    """study.json."""

    recipe: Recipe = Field(description="the complete recipe that the search starts from")
    epochs: int = Field(ge=1, description="maximum epochs of a trial; fewer than the recipe's if the time is short")
    trial_seconds: Finite = Field(description="expected seconds of a trial on the machine that created the study")
    argument: str = Field(description="the dataset, as given by the user; directories as absolute paths")
    skip_unreadable: bool
    fingerprint: str = Field(description="of the training and validation images")
    task: Task = Field(description="of the images; it decides what the score of a trial is")
    seed: int
    precision: Precision
    device: Device
    date: str = Field(description="date of creation, in UTC")

    @property
    def measure(self) -> Measure:
        """The score of a trial: the accuracy, or the mean average precision of several labels per image."""
        return measure_of(self.task)

    @property
    def short_measure(self) -> str:
        """The measure in at most 8 letters."""
        return "mAP" if self.task == "multi-label" else "accuracy"


def with_epochs(recipe: Recipe, epochs: int) -> Recipe:
    """Return the recipe with a different number of epochs."""
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"epochs": epochs})})
