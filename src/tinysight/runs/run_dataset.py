"""The dataset of a run, loaded again from its source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinysight._util.errors import DataError, InputError
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Dataset, Split
from tinysight.data.load import load
from tinysight.data.sources import cifar10
from tinysight.runs.records import DatasetRecord
from tinysight.runs.run import Run


def load_run_dataset(run: Run, data_dir: Path | None = None, progress: Progress = SILENT) -> Dataset:
    """Load the dataset that a run was trained on.

    Raises:
        DataError: the dataset has another fingerprint than in training.
    """
    record, size = run.environment().dataset, run.recipe().data.image_size
    dataset = load(record.argument, size, data_dir or _recorded_folder(record), skip_unreadable=True, progress=progress)
    if dataset.fingerprint != record.fingerprint:
        raise DataError(
            f"{dataset.source}: not the images that {run.path} was trained on ({record.source}). "
            "Restore those images, or train again on these."
        )
    return dataset


def is_local(run: Run) -> bool:
    """Return whether the dataset of a run can be loaded without a download."""
    record = run.environment().dataset
    return record.argument != "cifar10" or cifar10.find(_recorded_folder(record)) is not None


def check_test_indices(indices: Sequence[int], test: Split) -> None:
    """Raise InputError if an index is not that of a test image."""
    for index in indices:
        if not 0 <= index < len(test):
            raise InputError(f"--test-index {index}: not in the test set. Use an index from 0 to {len(test) - 1}.")


def _recorded_folder(record: DatasetRecord) -> Path | None:
    """Return the CIFAR-10 folder used in training, if it still contains CIFAR-10."""
    folder = Path(record.data_dir) if record.data_dir else None
    return folder if folder and cifar10.find(folder) else None
