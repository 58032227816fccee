"""Loggers: write the metrics of each epoch to a CSV file, TensorBoard or MLflow."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from tinysight._util import optional_deps
from tinysight._util.errors import InputError, did_you_mean
from tinysight._util.progress import Progress
from tinysight.recipes.schema import Recipe
from tinysight.runs.records import EpochRecord, RunStatus

LoggerName = Literal["csv", "tensorboard", "mlflow"]
Callback = Callable[[EpochRecord], None]
"""Called with the metrics of each epoch when it has been validated and saved."""

_PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow-skinny"}  # by extra; mlflow itself requires mlflow-skinny


class Logger(Protocol):
    """Receiver of a session's epochs.

    Its constructor takes the run directory, the recipe and the epochs of earlier sessions. Epochs after the last
    checkpoint of an earlier session are trained and logged again.
    """

    def log(self, epoch: EpochRecord) -> None:
        """Record the metrics of an epoch."""

    def close(self, status: RunStatus) -> None:
        """Record how the session ended."""


class CsvLogger:
    """Writes history.csv into the run directory: one column per metric of the task, one row per epoch."""

    def __init__(self, path: Path, recipe: Recipe, history: Sequence[EpochRecord]) -> None:
        self._file = (path / "history.csv").open("w", encoding="utf-8", newline="")
        self._writer: csv.DictWriter[str] | None = None
        for epoch in history:
            self.log(epoch)

    def log(self, epoch: EpochRecord) -> None:
        """Append a row."""
        row = epoch.model_dump(exclude_none=True)
        if self._writer is None:
            self._writer = csv.DictWriter(self._file, list(row), lineterminator="\n")
            self._writer.writeheader()
        self._writer.writerow(row)
        self._file.flush()

    def close(self, status: RunStatus) -> None:
        """Close the file."""
        self._file.close()


class TensorBoardLogger:
    """Writes event files into the folder tensorboard of the run directory; steps are epochs."""

    def __init__(self, path: Path, recipe: Recipe, history: Sequence[EpochRecord]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # TensorBoard hides the points of earlier sessions from `purge_step` on.
        self._writer: Any = SummaryWriter(str(path / "tensorboard"), purge_step=len(history) + 1)

    def log(self, epoch: EpochRecord) -> None:
        """Write a point of each curve."""
        for name, value in _curves(epoch).items():
            self._writer.add_scalar(name, value, epoch.epoch)
        self._writer.flush()

    def close(self, status: RunStatus) -> None:
        """Close the event file."""
        self._writer.close()


class MlflowLogger:
    """Logs to the MLflow server or folder in MLFLOW_TRACKING_URI, in the experiment "tinysight".

    The environment variable MLFLOW_EXPERIMENT_NAME names another experiment. A resumed run continues its MLflow run,
    which has the tag "tinysight.run": the path of the run directory.
    """

    def __init__(self, path: Path, recipe: Recipe, history: Sequence[EpochRecord]) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing is sent to third parties
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self._client: Any = MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "tinysight")
        experiment = self._client.get_experiment_by_name(name)
        experiment_id = experiment.experiment_id if experiment else self._client.create_experiment(name)
        tag = str(path.absolute())
        runs = self._client.search_runs([experiment_id]) if history else []
        if earlier := [run for run in runs if run.data.tags.get("tinysight.run") == tag]:
            self._run_id = earlier[0].info.run_id  # the newest
            self._client.update_run(self._run_id, status="RUNNING")
            return
        run = self._client.create_run(experiment_id, run_name=path.name, tags={"tinysight.run": tag})
        self._run_id = run.info.run_id
        self._client.log_batch(self._run_id, params=[Param(key, value) for key, value in _parameters(recipe)])

    def log(self, epoch: EpochRecord) -> None:
        """Log the metrics; steps are epochs."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(name, value, now, epoch.epoch) for name, value in _curves(epoch).items()]
        self._client.log_batch(self._run_id, metrics=metrics)

    def close(self, status: RunStatus) -> None:
        """End the MLflow run with the session's status."""
        ended = {"finished": "FINISHED", "interrupted": "KILLED"}.get(status, "FAILED")
        self._client.set_terminated(self._run_id, ended)


class LoggerGroup:
    """The loggers of a session. One that fails is closed with a notice; the training goes on."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._loggers: dict[str, Logger] = {}

    def open(self, names: Sequence[LoggerName], path: Path, recipe: Recipe, history: Sequence[EpochRecord]) -> None:
        """Open loggers for the run at `path`, which has the epochs `history` already."""
        for name in names:
            try:
                self._loggers[name] = _LOGGERS[name](path, recipe, history)
            except Exception as error:
                self._warn(name, error)

    def log(self, epoch: EpochRecord) -> None:
        """Send an epoch to every logger."""
        self._call(lambda logger: logger.log(epoch))

    def close(self, status: RunStatus) -> None:
        """Close every logger; afterwards there are none."""
        self._call(lambda logger: logger.close(status))
        self._loggers = {}

    def _call(self, method: Callable[[Logger], None]) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                method(logger)
            except Exception as error:  # a full disk or a lost server must not end hours of training
                del self._loggers[name]
                self._warn(name, error)

    def _warn(self, name: str, error: Exception) -> None:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        self.progress.note(f"logger {name}: failed ({reason}). Training goes on without it.")


def check_loggers(names: Sequence[str]) -> None:
    """Raise InputError unless all loggers exist and their packages are installed."""
    for name in names:
        if name not in _LOGGERS:
            raise InputError(f"logger {name!r}: unknown.{did_you_mean(name, get_args(LoggerName))}")
        if name in _PACKAGES:
            optional_deps.require(_PACKAGES[name], extra=name)


_LOGGERS: dict[str, Callable[[Path, Recipe, Sequence[EpochRecord]], Logger]] = {
    "csv": CsvLogger,
    "tensorboard": TensorBoardLogger,
    "mlflow": MlflowLogger,
}


def _curves(epoch: EpochRecord) -> dict[str, float]:
    """Return the metrics of an epoch, named so that training and validation share a plot."""
    return {
        "loss/train": epoch.loss,
        "loss/validation": epoch.val_loss,
        "accuracy/train": epoch.accuracy,
        "accuracy/validation": epoch.val_accuracy,
        "learning_rate": epoch.lr,
        "images_per_second": epoch.images_per_second,
    }


def _parameters(recipe: Recipe) -> list[tuple[str, str]]:
    """Return the recipe's values by key, each at most as long as MLflow allows."""
    values = [(key, str(value)[:500]) for key, value in recipe.flat().items() if "." in key and value is not None]
    return [("recipe", recipe.name), *values]
