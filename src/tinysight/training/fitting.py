"""A training that nobody keeps: no run directory, no checkpoints, only what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tinysight.models.classifier import Classifier
from tinysight.progress import SILENT, Progress
from tinysight.runs.records import Epoch
from tinysight.training.trainer import Trainer, show


def fit(trainer: Trainer, progress: Progress = SILENT) -> Classifier:
    """Train to the end; `progress`, started by the caller, is advanced by every image learned from.

    Raises:
        TrainingError: the loss is not finite any more.
    """
    for _ in epochs(trainer, progress):
        pass
    return trainer.finish()


def epochs(trainer: Trainer, progress: Progress = SILENT, stop: Callable[[], bool] = lambda: False) -> Iterator[Epoch]:
    """Train, and yield every epoch as it ends.

    Args:
        trainer: trained to its end, unless the caller breaks off between two epochs.
        progress: as for `fit`.
        stop: asked after every step whether to break off in mid-epoch.

    Raises:
        TrainingError: the loss is not finite any more.
    """
    while not trainer.done:
        while trainer.position.step < trainer.feed.steps:
            show(progress, trainer.position, trainer.step())
            if stop():
                return
        yield trainer.end_epoch()
