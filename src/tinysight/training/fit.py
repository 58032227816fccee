"""Train without a run directory or checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tinysight._util.progress import SILENT, Progress
from tinysight.models.classifier import Classifier
from tinysight.runs.records import EpochRecord
from tinysight.training.trainer import Trainer, show_progress


def fit(trainer: Trainer, progress: Progress = SILENT) -> Classifier:
    """Train to the end and return the classifier.

    The caller starts `progress`; it advances by every image trained on.

    Raises:
        TrainingError: the loss is not finite.
    """
    for _ in train_epochs(trainer, progress):
        pass
    return trainer.finish()


def train_epochs(
    trainer: Trainer, progress: Progress = SILENT, stop: Callable[[], bool] = lambda: False
) -> Iterator[EpochRecord]:
    """Train and yield the metrics of each epoch.

    Args:
        trainer: trained to its end, unless the caller stops between two epochs.
        progress: as for `fit`.
        stop: called after every step; True ends the training in mid-epoch.

    Raises:
        TrainingError: the loss is not finite.
    """
    while not trainer.done:
        while trainer.state.step < trainer.loader.steps_per_epoch:
            show_progress(progress, trainer.state, trainer.step())
            if stop():
                return
        yield trainer.end_epoch()
