"""The input of every audit section: a run, its dataset and its predictions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Dataset, Labels, Split
from tinysight.data.image_ids import image_ids
from tinysight.models.classifier import Classifier
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import open_dataset
from tinysight.training.train_split import TrainSplit, split_dataset

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class AuditContext:
    """A run with its classifier and dataset, opened for an audit.

    Attributes:
        run: the run directory.
        classifier: the trained classifier.
        dataset: the dataset of the run.
        images: the split of the training images into training and validation.
    """

    run: Run
    classifier: Classifier
    dataset: Dataset
    train_split: TrainSplit

    @classmethod
    def from_run(cls, run: Run, data_dir: Path | None = None, progress: Progress = SILENT) -> AuditContext:
        """Open a run and its dataset. Raises RunError or DataError if one cannot be read."""
        classifier, dataset = run.classifier(), open_dataset(run, data_dir=data_dir, progress=progress)
        return cls(run, classifier, dataset, split_dataset(dataset, run.recipe().data, run.environment().seed))

    @cached_property
    def predicted(self) -> Labels:
        """Predicted classes of the test images, int64 (n,)."""
        predicted: Labels = self.classifier.probabilities(self.dataset.test.pixels).argmax(1)
        return predicted

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each test image is classified correctly, bool (n,)."""
        return np.asarray(self.predicted == self.dataset.test.labels)

    @cached_property
    def pool(self) -> Split:
        """The images of all splits, one split after the other."""
        parts = list(self.dataset.splits.values())
        files = tuple(name for part in parts for name in part.files)
        return Split(
            np.concatenate([part.pixels for part in parts]), np.concatenate([part.labels for part in parts]), files
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each image of the pool, such as `train/17`."""
        return tuple(name for split, part in self.dataset.splits.items() for name in image_ids(part, split))

    @cached_property
    def splits(self) -> NDArray[np.str_]:
        """The split of each image of the pool, (n,)."""
        return np.concatenate([np.full(len(part), split) for split, part in self.dataset.splits.items()])

    @cached_property
    def is_member(self) -> NDArray[np.bool_]:
        """Whether the run trained on each image of the pool, bool (n,)."""
        is_member = np.zeros(len(self.names), dtype=bool)
        is_member[self.train_split.train_indices] = True  # the training images come first in the pool
        return is_member
