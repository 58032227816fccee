"""The input of every audit section: a run, its dataset and its predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinysight._util.errors import DataError
from tinysight._util.progress import SILENT, Progress
from tinysight.auditing.shadow_models import ShadowModels
from tinysight.data.dataset import Dataset, Labels, Pixels, Split
from tinysight.data.image_ids import image_ids
from tinysight.data.splits import TrainSplit
from tinysight.models.classifier import Classifier
from tinysight.models.scores import is_correct, predicted_labels
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import is_dataset_of, open_dataset, split_of_run
from tinysight.training.probe import last_linear

SPLITS = ("train", "validation", "test")
MAX_PROBED = 2000  # at most so many test images are corrupted or compared with out-of-distribution images


@dataclass
class AuditContext:
    """A run with its classifier and dataset, opened for an audit.

    Attributes:
        run: the run directory.
        classifier: the trained classifier.
        dataset: the dataset of the run.
        train_split: the split of the training images into training and validation.
        groups_file: CSV file of groups of test images, for the section that requires it.
        shadow_models: the shadow models, for the sections that require them.
        embed: returns the embeddings (n, d) of images faster than the classifier, from a cache; or None.
    """

    run: Run
    classifier: Classifier
    dataset: Dataset
    train_split: TrainSplit
    groups_file: Path | None = None
    shadow_models: ShadowModels | None = None
    embed: Callable[[Pixels], Tensor] | None = None

    @classmethod
    def from_run(
        cls,
        run: Run,
        dataset: Dataset | None = None,
        data_dir: Path | None = None,
        progress: Progress = SILENT,
    ) -> AuditContext:
        """Open a run and its dataset, see `open_dataset`.

        Raises:
            RunError: a file of the run is missing or damaged.
            DataError: the images are not those that the run was trained on, or none of them are test images.
        """
        classifier, opened = run.classifier(), open_dataset(run, dataset, data_dir, progress)
        if not len(opened.test):
            raise DataError(
                f"{opened.source}: has no test images, which audits and unlearning need. Train with "
                "`tinysight.train`, which sets some of the images aside."
            )
        return cls(run, classifier, opened, split_of_run(run, opened))

    def require_groups_file(self) -> Path:
        """Return the groups file. Raises ValueError if there is none: the audit skips such sections."""
        if self.groups_file is None:
            raise ValueError("no groups file")
        return self.groups_file

    def require_shadow_models(self) -> ShadowModels:
        """Return the shadow models. Raises ValueError if there are none: the audit skips such sections."""
        if self.shadow_models is None:
            raise ValueError("no shadow models")
        return self.shadow_models

    @property
    def is_complete(self) -> bool:
        """Whether no image of the run is missing."""
        return is_dataset_of(self.run, self.dataset)

    @property
    def n_probed(self) -> int:
        """Number of test images that are corrupted or compared with out-of-distribution images."""
        return min(MAX_PROBED, len(self.dataset.test))

    @cached_property
    def predicted(self) -> Labels:
        """Predicted classes of the test images, int64 (n,), or the labels that they get, (n, labels)."""
        return predicted_labels(self.probabilities(self.dataset.test.pixels), self.classifier.thresholds)

    @torch.inference_mode()
    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return the probabilities (n, classes) of images."""
        if self.embed is None:
            return self.classifier.probabilities(pixels)
        logits = last_linear(self.classifier.network)(self.embed(pixels)).float()
        probabilities: NDArray[np.float32] = self.classifier.spec.to_probabilities(logits).numpy()
        return probabilities

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each test image is classified correctly, or all of its labels are correct, bool (n,)."""
        return is_correct(self.predicted, self.dataset.test.labels)

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
