"""What is audited: a run, the images it was made from, and what it says of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Dataset, Labels, Part
from tinysight.data.names import names_of
from tinysight.evaluation.images import images_of
from tinysight.models.classifier import Classifier
from tinysight.progress import SILENT, Progress
from tinysight.runs.run import Run
from tinysight.training.images import Images, cut

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Subject:
    """A run, opened for an audit.

    Attributes:
        run: where it is kept.
        classifier: what it came to.
        dataset: the images it was made from.
        images: which of them it learned from and which it was held against.
    """

    run: Run
    classifier: Classifier
    dataset: Dataset
    images: Images

    @classmethod
    def of(cls, run: Run, data_dir: Path | None = None, progress: Progress = SILENT) -> Subject:
        """Open a run and find its images. Raises RunError or DataError if that cannot be."""
        classifier, dataset = run.classifier(), images_of(run, data_dir, progress)
        return cls(run, classifier, dataset, cut(dataset, run.recipe().data, run.environment().seed))

    @cached_property
    def answers(self) -> Labels:
        """The classes it tells the test images to be, int64 (n,)."""
        answers: Labels = self.classifier.probabilities(self.dataset.test.pixels).argmax(1)
        return answers

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether it is right about each test image, (n,)."""
        return np.asarray(self.answers == self.dataset.test.labels)

    @cached_property
    def pool(self) -> Part:
        """All images there are, of the splits one after the other."""
        parts = list(self.dataset.parts.values())
        files = tuple(name for part in parts for name in part.files)
        return Part(
            np.concatenate([part.pixels for part in parts]), np.concatenate([part.labels for part in parts]), files
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What each image of the pool is called."""
        return tuple(name for split, part in self.dataset.parts.items() for name in names_of(part, split))

    @cached_property
    def splits(self) -> NDArray[np.str_]:
        """The split that each image of the pool is in, (n,)."""
        return np.concatenate([np.full(len(part), split) for split, part in self.dataset.parts.items()])

    @cached_property
    def members(self) -> NDArray[np.bool_]:
        """Whether each image of the pool was learned from, (n,)."""
        learned = np.zeros(len(self.names), dtype=bool)
        learned[self.images.learn] = True  # the training images come first
        return learned
