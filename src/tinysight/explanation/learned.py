"""What a run has learned from, and what its network makes of that: found out once, and kept for other programs."""

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

_KEPT = 8  # runs whose features are kept, those used last


@dataclass(frozen=True)
class Learned:
    """The images that a run has learned from, and the memory of them."""

    part: Part
    memory: Memory

    @classmethod
    def by(cls, run: Run, classifier: Classifier, dataset: Dataset, progress: Progress = SILENT) -> Learned:
        """Return what a run has learned from, given its images; the first time that takes a while."""
        images = cut(dataset, run.recipe().data, run.environment().seed)
        part = taken(images.train, images.learn)
        return cls(part, Memory(classifier, _features(run, classifier, part.pixels, progress)))


def _features(run: Run, classifier: Classifier, pixels: Pixels, progress: Progress) -> Tensor:
    """Return the features of images from the cache, or find them out and put them there."""
    facts = hashlib.sha256(run.weights_seal().encode())
    facts.update(pixels.data)
    path = cache_folder() / "features" / f"{facts.hexdigest()}.safetensors"
    with ExitStack() as stack:
        with suppress(StorageError):  # where nothing can be kept, nobody need wait either
            stack.enter_context(locked(path.with_suffix(".lock"), SILENT))  # of two that want the same, one waits
        found = _read(path, len(pixels))
        if found is None:
            found = features(classifier, pixels, progress)
            _write(path, found, progress)
    return found.float()


def _read(path: Path, count: int) -> Tensor | None:
    try:
        found = read_tensors(path)[0]["features"]
        path.touch()
    except (RunError, KeyError, OSError):
        return None
    return found if len(found) == count else None


def _write(path: Path, found: Tensor, progress: Progress) -> None:
    try:
        write_tensors({"features": found.to(torch.float16)}, {}, path)
    except StorageError as error:
        progress.note(f"What is known of the training images is not kept for next time. {error}")
        return
    by_age = sorted(path.parent.glob("*.safetensors"), key=lambda one: one.stat().st_mtime)
    for old in by_age[:-_KEPT]:
        with suppress(OSError):
            old.unlink()
