"""Nearest training images in the feature space of a classifier."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tinysight._util.errors import RunError, StorageError
from tinysight._util.files import cache_folder
from tinysight._util.locks import file_lock
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Dataset, Split
from tinysight.data.pixels import Pixels
from tinysight.data.splits import subset
from tinysight.models.classifier import Classifier, iter_batches
from tinysight.models.network import embed
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import split_of_run
from tinysight.runs.weights import read_tensors, write_tensors


@dataclass(frozen=True)
class Neighbors:
    """The nearest training images of n images, sorted by similarity.

    Attributes:
        indices: int64, (n, k), into the training images.
        similarities: float32, (n, k), cosine similarity of the features, -1..1.
    """

    indices: NDArray[np.int64]
    similarities: NDArray[np.float32]


@dataclass(frozen=True)
class FeatureIndex:
    """Searchable features of all training images, (n, features)."""

    classifier: Classifier
    features: Tensor

    def nearest(self, pixels: Pixels, count: int = 5) -> Neighbors:
        """Return the `count` nearest training images of each of uint8 images (n, 3, height, width)."""
        similarity = extract_features(self.classifier, pixels) @ self.features.T
        values, indices = similarity.topk(min(count, len(self.features)), dim=1)
        return Neighbors(indices.numpy(), values.numpy())


@torch.inference_mode()
def extract_features(classifier: Classifier, pixels: Pixels, progress: Progress = SILENT) -> Tensor:
    """Return the inputs of the last layer of the network, (n, features), normalized to length 1.

    They are computed in bfloat16 if the classifier predicts in bfloat16, which takes half the time.
    """
    network = (classifier.network if classifier.uses_float32 else classifier.bf16_network).eval()
    with torch.autocast("cpu", torch.bfloat16, enabled=not classifier.uses_float32):
        rows = [embed(network, torch.zeros(1, 3, *pixels.shape[2:])).float()[:0]]  # the width, if there are no images
    progress.start("indexing", len(pixels), "images")
    for batch in iter_batches(pixels, classifier.spec.model.input_size):
        images = classifier.spec.normalization(torch.from_numpy(batch).float())
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=not classifier.uses_float32):
            rows.append(F.normalize(embed(network, images).float()))
        progress.advance(len(images))
    progress.finish()
    return torch.cat(rows)


_MAX_CACHED = 8  # feature files; the least recently used are deleted


@dataclass(frozen=True)
class TrainingIndex:
    """The training images of a run and the index of their features."""

    split: Split
    index: FeatureIndex

    @classmethod
    def of_run(cls, run: Run, classifier: Classifier, dataset: Dataset, progress: Progress = SILENT) -> TrainingIndex:
        """Return the index of a run; the first call computes the features, later calls read the cache."""
        images = split_of_run(run, dataset)
        part = subset(images.train, images.train_indices)
        return cls(part, FeatureIndex(classifier, _cached_features(run, classifier, part.pixels, progress)))


def _cached_features(run: Run, classifier: Classifier, pixels: Pixels, progress: Progress) -> Tensor:
    """Return the features of images from the cache, or compute and cache them."""
    key = hashlib.sha256(run.weights_checksum().encode())
    key.update(pixels.data)
    path = cache_folder() / "features" / f"{key.hexdigest()}.safetensors"
    with ExitStack() as stack:
        with suppress(StorageError):  # no lock is needed if the cache is not writable
            stack.enter_context(file_lock(path.with_suffix(".lock"), SILENT))
        rows = _read_cache(path, len(pixels))
        if rows is None:
            rows = extract_features(classifier, pixels, progress)
            _write_cache(path, rows, progress)
    return rows.float()


def _read_cache(path: Path, count: int) -> Tensor | None:
    try:
        rows = read_tensors(path)[0]["features"]
        path.touch()
    except (RunError, KeyError, OSError):
        return None
    return rows if len(rows) == count else None


def _write_cache(path: Path, rows: Tensor, progress: Progress) -> None:
    try:
        write_tensors({"features": rows.to(torch.float16)}, {}, path)
    except StorageError as error:
        progress.note(f"The features of the training images are not cached. {error}")
        return
    by_age = sorted(path.parent.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
    for old in by_age[:-_MAX_CACHED]:
        with suppress(OSError):
            old.unlink()
