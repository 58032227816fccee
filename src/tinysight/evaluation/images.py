"""The images that a run was made from, found again: without what `evaluate` needs to measure and draw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinysight.data import cifar10
from tinysight.data.dataset import Dataset, Part
from tinysight.data.load import load
from tinysight.errors import DataError, InputError
from tinysight.progress import SILENT, Progress
from tinysight.runs.records import DatasetRecord
from tinysight.runs.run import Run


def images_of(run: Run, data_dir: Path | None = None, progress: Progress = SILENT) -> Dataset:
    """Find the images that a run was made from again.

    Raises:
        DataError: what is found at their place now has another fingerprint.
    """
    record, size = run.environment().dataset, run.recipe().data.image_size
    dataset = load(record.argument, size, data_dir or _known_folder(record), skip_bad=True, progress=progress)
    if dataset.fingerprint != record.fingerprint:
        raise DataError(
            f"{dataset.source}: these are not the images that {run.path} was trained on ({record.source}); "
            "restore those, or train again on these."
        )
    return dataset


def at_hand(run: Run) -> bool:
    """Return whether the images that a run was made from can be had without a download."""
    record = run.environment().dataset
    return record.argument != "cifar10" or cifar10.find(_known_folder(record)) is not None


def require_test_indices(indices: Sequence[int], test: Part) -> None:
    """Raise InputError, which names the option, unless there are test images of all these indices."""
    for index in indices:
        if not 0 <= index < len(test):
            raise InputError(f"--test-index {index}: the test set has images 0 to {len(test) - 1}.")


def _known_folder(record: DatasetRecord) -> Path | None:
    """Return where CIFAR-10 lay when the run was made, if it still lies there."""
    folder = Path(record.data_dir) if record.data_dir else None
    return folder if folder and cifar10.find(folder) else None
