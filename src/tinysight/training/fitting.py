"""Train without a run directory or checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tinysight.models.classifier import Classifier
from tinysight.progress import SILENT, Progress
from tinysight.runs.records import Epoch
from tinysight.training.trainer import Trainer, show


def fit(trainer: Trainer, progress: Progress = SILENT) -> Classifier:
    """Train to the end and return the classifier.

    The caller starts `progress`; it advances by every image trained on.

    Raises:
        TrainingError: the loss is not finite.
    """
    for _ in epochs(trainer, progress):
        pass
    return trainer.finish()


def epochs(trainer: Trainer, progress: Progress = SILENT, stop: Callable[[], bool] = lambda: False) -> Iterator[Epoch]:
    """Train and yield the metrics of each epoch.

    Args:
        trainer: trained to its end, unless the caller stops between two epochs.
        progress: as for `fit`.
        stop: called after every step; True ends the training in mid-epoch.

    Raises:
        TrainingError: the loss is not finite.
    """
    while not trainer.done:
        while trainer.position.step < trainer.feed.steps:
            show(progress, trainer.position, trainer.step())
            if stop():
                return
        yield trainer.end_epoch()
