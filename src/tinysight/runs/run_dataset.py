"""The dataset of a run, loaded again from its source."""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinysight._util.errors import DataError, InputError
from tinysight._util.progress import SILENT, Progress
from tinysight.data.arrange import arrange
from tinysight.data.dataset import NO_IMAGES, Dataset, Split
from tinysight.data.load import load
from tinysight.data.sources import cifar10
from tinysight.models.predictor import Predictor
from tinysight.runs.records import DatasetRecord
from tinysight.runs.run import Run


def open_dataset(
    run: Run, dataset: Dataset | None = None, data_dir: Path | None = None, progress: Progress = SILENT
) -> Dataset:
    """Return the dataset that a run was trained on.

    Args:
        run: the run.
        dataset: the dataset, if it is already loaded; by default, it is loaded again from its source.
        data_dir: the CIFAR-10 folder; by default, the one used in training.
        progress: receives the progress of loading.

    Raises:
        DataError: the images are not those that the run was trained on.
    """
    record, size = run.environment().dataset, run.recipe().data.image_size
    is_unknown = record.argument == NO_IMAGES
    if dataset is None:
        if is_unknown:
            raise DataError(f"{run.path}: was imported without images. Pass the dataset, or import it again with one.")
        if os.path.isabs(record.argument) and not Path(record.argument).exists():
            raise DataError(
                f"{record.argument}: not there, but {run.path} was trained on it. Pass the dataset if it has moved."
            )
        folder = data_dir or _recorded_folder(record)
        dataset = load(record.argument, size, folder, skip_unreadable=True, progress=progress)
    names = run.class_names()
    if is_unknown or set(dataset.class_names) <= set(names):
        dataset = _relabel(dataset, names)
    if is_unknown:
        return dataset
    dataset = arranged_as(run, dataset)
    if not is_dataset_of(run, dataset):
        raise DataError(
            f"{dataset.source}: not the images that {run.path} was trained on ({record.source}). "
            "Restore those images, or train again on these."
        )
    return dataset


def arranged_as(run: Run, dataset: Dataset) -> Dataset:
    """Return a dataset with the groups and splits of a run if it has the images of the run, else unchanged."""
    if is_dataset_of(run, dataset):
        return dataset
    with suppress(DataError):  # images of a different dataset need not have such groups
        arranged = arrange(dataset, run.recipe().data)
        return arranged if is_dataset_of(run, arranged) else dataset
    return dataset


def match_classes(dataset: Dataset, classifier: Predictor) -> Dataset:
    """Return a dataset with the labels of a classifier: classes are matched by name, and some may be missing.

    Raises:
        DataError: the dataset has classes that the classifier lacks, or a different image size.
    """
    matched = _relabel(dataset, classifier.class_names)
    height, width = dataset.image_size
    if (height, width) != (classifier.image_size, classifier.image_size):
        raise DataError(
            f"{dataset.source}: has images of {height} x {width} pixels, but the classifier takes "
            f"{classifier.image_size} x {classifier.image_size}. Load the dataset at that size."
        )
    return matched


def _relabel(dataset: Dataset, names: tuple[str, ...]) -> Dataset:
    """Return a dataset whose labels are indices into `names`. Raises DataError if these lack one of its classes."""
    if dataset.class_names == names:
        return dataset
    if not set(dataset.class_names) <= set(names):
        raise DataError(
            f"{dataset.source}: has the classes {', '.join(dataset.class_names)}, but the classifier has "
            f"{', '.join(names)}. Use a dataset with the same classes."
        )
    labels = np.array([names.index(name) for name in dataset.class_names], dtype=np.int64)

    def relabel(split: Split) -> Split:
        return replace(split, labels=labels[split.labels])

    return replace(
        dataset,
        class_names=names,
        train=relabel(dataset.train),
        test=relabel(dataset.test),
        validation=dataset.validation and relabel(dataset.validation),
    )


def is_dataset_of(run: Run, dataset: Dataset) -> bool:
    """Return whether a dataset has the images, labels and class names that the run was trained on."""
    return dataset.fingerprint == run.environment().dataset.fingerprint


def is_local(run: Run) -> bool:
    """Return whether the dataset of a run can be loaded without a download."""
    record = run.environment().dataset
    if record.argument == NO_IMAGES:
        return False
    return record.argument != "cifar10" or cifar10.find(_recorded_folder(record)) is not None


def check_test_indices(indices: Sequence[int], test: Split) -> None:
    """Raise InputError if an index is not that of a test image."""
    for index in indices:
        if not 0 <= index < len(test):
            raise InputError(f"test index {index}: not in the test set. Use an index from 0 to {len(test) - 1}.")


def _recorded_folder(record: DatasetRecord) -> Path | None:
    """Return the CIFAR-10 folder used in training, if it still contains CIFAR-10."""
    folder = Path(record.data_dir) if record.data_dir else None
    return folder if folder and cifar10.find(folder) else None
