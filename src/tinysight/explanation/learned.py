"""The training images of a run and their features, cached on disk."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tinysight.data.cache import cache_folder, locked
from tinysight.data.dataset import Dataset, Part, Pixels
from tinysight.errors import RunError, StorageError
from tinysight.explanation.neighbours import Memory, features
from tinysight.models.classifier import Classifier
from tinysight.progress import SILENT, Progress
from tinysight.runs.run import Run
from tinysight.runs.weights import read_tensors, write_tensors
from tinysight.training.images import cut, taken

_MAX_CACHED = 8  # feature files; the least recently used are deleted


@dataclass(frozen=True)
class Learned:
    """The training images of a run and the index of their features."""

    part: Part
    memory: Memory

    @classmethod
    def by(cls, run: Run, classifier: Classifier, dataset: Dataset, progress: Progress = SILENT) -> Learned:
        """Return the index of a run; the first call computes the features, later calls read the cache."""
        images = cut(dataset, run.recipe().data, run.environment().seed)
        part = taken(images.train, images.learn)
        return cls(part, Memory(classifier, _cached_features(run, classifier, part.pixels, progress)))


def _cached_features(run: Run, classifier: Classifier, pixels: Pixels, progress: Progress) -> Tensor:
    """Return the features of images from the cache, or compute and cache them."""
    key = hashlib.sha256(run.weights_seal().encode())
    key.update(pixels.data)
    path = cache_folder() / "features" / f"{key.hexdigest()}.safetensors"
    with ExitStack() as stack:
        with suppress(StorageError):  # no lock is needed if the cache is not writable
            stack.enter_context(locked(path.with_suffix(".lock"), SILENT))
        rows = _read_cache(path, len(pixels))
        if rows is None:
            rows = features(classifier, pixels, progress)
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
