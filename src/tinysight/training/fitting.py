"""A training that nobody keeps: no run directory, no checkpoints, only what comes of it."""

from __future__ import annotations

from tinysight.models.classifier import Classifier
from tinysight.progress import SILENT, Progress
from tinysight.training.trainer import Trainer


def fit(trainer: Trainer, progress: Progress = SILENT) -> Classifier:
    """Train to the end; `progress`, started by the caller, is advanced by every image learned from.

    Raises:
        TrainingError: the loss is not finite any more.
    """
    while not trainer.done:
        while trainer.position.step < trainer.feed.steps:
            progress.advance(trainer.step())
        trainer.end_epoch()
    return trainer.finish()
