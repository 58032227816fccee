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
from tinysight.data.dataset import IN_MEMORY, NO_IMAGES, Dataset, Split
from tinysight.data.image_ids import image_ids
from tinysight.data.load import load
from tinysight.data.source_report import one_line, truncated
from tinysight.data.sources import cifar10
from tinysight.data.splits import TrainSplit, split_dataset, subset
from tinysight.models.predictor import Predictor
from tinysight.runs.image_index import ImageIndex
from tinysight.runs.image_match import ImageMatch
from tinysight.runs.records import DatasetRecord, EvaluatedSplit
from tinysight.runs.run import Run


def open_dataset(
    run: Run, dataset: Dataset | None = None, data_dir: Path | None = None, progress: Progress = SILENT
) -> Dataset:
    """Return the images that a run was trained, validated and tested on, with the splits and labels of the run.

    Images are found by their content. If some of the run's images are missing or others were added, a notice names
    them, and the others are returned: see `ImageMatch.dataset_of_run`, and `is_dataset_of`.

    Args:
        run: the run.
        dataset: the dataset, if it is already loaded; by default, it is loaded again from its source.
        data_dir: the CIFAR-10 folder; by default, the one used in training.
        progress: receives the progress of loading, and the notice.

    Raises:
        DataError: the images are not those that the run was trained on.
    """
    record = run.environment().dataset
    dataset = _load_recorded(run, data_dir, progress) if dataset is None else dataset
    dataset = _with_classes_of(run, dataset)
    if record.argument == NO_IMAGES:
        return match_classes(dataset, run.classifier())
    dataset = arranged_as(run, dataset)
    if is_dataset_of(run, dataset):
        return dataset
    match = match_images(run, dataset)
    if match is None or not match.is_own:
        raise DataError(
            f"{dataset.source}: not the images that {run.path} was trained on ({record.source}). "
            "Restore those images, or train again on these."
        )
    return _dataset_of_run(run, match, progress)


def open_complete_dataset(
    run: Run, dataset: Dataset | None = None, data_dir: Path | None = None, progress: Progress = SILENT
) -> Dataset:
    """Return the dataset that a run was trained on. Raises DataError as `open_dataset`, and if any image is missing."""
    opened = open_dataset(run, dataset, data_dir, progress)
    check_complete(run, opened)
    return opened


def check_complete(run: Run, dataset: Dataset) -> None:
    """Raise DataError if a dataset from `open_dataset` lacks images of a run that has a record of its images."""
    if run.environment().dataset.argument != NO_IMAGES and not is_dataset_of(run, dataset):
        raise DataError(f"{dataset.source}: some images of {run.path} are missing, but all are needed. Restore them.")


def open_for_evaluation(
    run: Run,
    dataset: Dataset | None,
    split: EvaluatedSplit,
    data_dir: Path | None = None,
    progress: Progress = SILENT,
) -> Dataset:
    """Return the images that a run is evaluated on: none that it was trained on.

    Of the run's own dataset, which is the default, these are the images of the run; or with the split "new" only the
    other images, as a test split. Of another dataset, these are the images that the run was neither trained nor
    validated on.

    Raises:
        DataError: the run's own dataset is not there, there are no new images, or it is unknown which are new.
    """
    if dataset is None and split != "new":
        return open_dataset(run, None, data_dir, progress)
    dataset = _load_recorded(run, data_dir, progress) if dataset is None else dataset
    dataset = arranged_as(run, _with_classes_of(run, dataset))
    match = None if is_dataset_of(run, dataset) else match_images(run, dataset)
    if split == "new":
        return _new_images(run, dataset, match, progress)
    if match is None:
        return dataset
    if match.is_own:
        return _dataset_of_run(run, match, progress)
    unseen, n_removed = match.without_trained()
    if n_removed:
        progress.note(
            f"{dataset.source}: {n_removed:,} images are not evaluated, since {run.path} was trained or validated on "
            "them."
        )
    return unseen


def _new_images(run: Run, dataset: Dataset, match: ImageMatch | None, progress: Progress) -> Dataset:
    """Return the dataset with its new images as the test split."""
    if match is None and not is_dataset_of(run, dataset):
        raise DataError(
            f"{run.path}: has no record of its images, so it is unknown which are new. Move the new images to a folder "
            "of their own, and evaluate on that."
        )
    if match is None or not len(match.new):
        raise DataError(f"{dataset.source}: has no images that are new to {run.path}. Evaluate on the test split.")
    new = match.new_images()
    progress.note(f"{dataset.source}: only the {len(new):,} images that are new to {run.path} are evaluated.")
    return replace(dataset, test=new, has_drawn_test=False)


def _load_recorded(run: Run, data_dir: Path | None, progress: Progress) -> Dataset:
    """Load the dataset of a run again from its source, before groups and splits of the recipe are applied."""
    record = run.environment().dataset
    if record.argument == NO_IMAGES:
        raise DataError(f"{run.path}: was imported without images. Pass the dataset, or import it again with one.")
    if record.argument == IN_MEMORY:
        raise DataError(
            f"{run.path}: was trained on {record.source}, which are not saved with it. Pass the same ones in Python, "
            "or train on a folder, zip file or CSV file."
        )
    argument = str(run.dataset_table.resolve()) if run.dataset_table.exists() else record.argument
    if os.path.isabs(argument) and not Path(argument).exists():
        raise DataError(
            f"{argument}: does not exist, but {run.path} was trained on it. Pass the dataset if it has moved."
        )
    folder = data_dir or _recorded_folder(record)
    size = run.recipe().data.image_size
    return load(argument, size, folder, skip_unreadable=True, progress=progress, needs_splits=False)


def open_for_resume(run: Run, dataset: Dataset, progress: Progress = SILENT) -> Dataset:
    """Return the dataset that a run was started on, if it is there among other images; else `dataset` unchanged."""
    match = None if is_dataset_of(run, dataset) else match_images(run, dataset)
    return _dataset_of_run(run, match, progress) if match and match.is_complete else dataset


def match_images(run: Run, dataset: Dataset) -> ImageMatch | None:
    """Compare a dataset with the images of a run; None if it has another image size or the run has no record."""
    size, index = run.recipe().data.image_size, index_of(run)
    if index is None or dataset.image_size != (size, size):
        return None
    return ImageMatch.find(index, dataset)


def index_of(run: Run) -> ImageIndex | None:
    """Return how a run used each image; for CIFAR-10, computed from its images. None if that is unknown."""
    index, record = run.image_index(), run.environment().dataset
    if index is not None or record.argument != "cifar10" or not is_local(run):
        return index
    dataset = arrange(load("cifar10", data_dir=_recorded_folder(record)), run.recipe().data)
    return ImageIndex.of(dataset, split_of_run(run, dataset)) if is_dataset_of(run, dataset) else None


def split_of_run(run: Run, dataset: Dataset) -> TrainSplit:
    """Return the training and validation images of a run, in a dataset from `open_dataset`."""
    if is_dataset_of(run, dataset) or run.environment().dataset.argument == NO_IMAGES:
        return split_dataset(dataset, run.recipe().data, run.environment().seed)
    validation = dataset.validation or subset(dataset.train, np.arange(0))
    return TrainSplit(dataset.train, np.arange(len(dataset.train)), validation)


def test_ids(run: Run, dataset: Dataset) -> tuple[str, ...]:
    """Return the IDs of all test images of a run, missing ones included, given a dataset from `open_dataset`."""
    index = None if is_dataset_of(run, dataset) else index_of(run)
    return image_ids(dataset.test, "test") if index is None else index.names[len(index) - index.sizes["test"] :]


def _dataset_of_run(run: Run, match: ImageMatch, progress: Progress) -> Dataset:
    """Return the images of a run in a dataset, after a notice about the others."""
    if differences := match.differences():
        advice = "New images are not used. To measure them, evaluate on the split 'new'." if len(match.new) else ""
        progress.note(
            f"{match.dataset.source}: {differences}. All other images keep the split and the label that they have in "
            f"{run.path}. {advice}".rstrip()
        )
    return replace(match.dataset_of_run(), notes=run.environment().dataset.notes)


def _with_classes_of(run: Run, dataset: Dataset) -> Dataset:
    names = run.class_names()
    if set(dataset.class_names) <= set(names):
        return _relabel(dataset, names)
    if run.environment().dataset.argument == NO_IMAGES:
        raise DataError(
            f"{dataset.source}: has the classes {_listed(dataset.class_names)}, but {run.path} was imported with the "
            f"classes {_listed(names)}. Import it again with this dataset, or with its class names."
        )
    return dataset


def _listed(names: Sequence[str]) -> str:
    return truncated([one_line(name) for name in names], ", ")


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
        DataError: the dataset has classes that the classifier lacks, or a different image size; or only one of the two
            has several labels per image.
    """
    if dataset.task != classifier.task:
        one, several = "one label per image", "several labels per image"
        has, takes = (one, several) if dataset.task == "multi-class" else (several, one)
        raise DataError(
            f"{dataset.source}: has {has}, but the classifier was trained on {takes}. Use a dataset with {takes}."
        )
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
            f"{dataset.source}: has the classes {_listed(dataset.class_names)}, but the classifier has "
            f"{_listed(names)}. Use a dataset with the same classes."
        )
    notes = dataset.notes
    if dataset.task == "multi-label" and (absent := set(names) - set(dataset.class_names)):
        notes = (
            *notes,
            f"Labels that the dataset lacks are counted as absent from every image: {', '.join(sorted(absent))}.",
        )
    positions = np.array([names.index(name) for name in dataset.class_names], dtype=np.int64)

    def relabel(split: Split) -> Split:
        if dataset.task == "multi-class":
            return replace(split, labels=positions[split.labels])
        labels = np.zeros((len(split), len(names)), dtype=np.int64)
        labels[:, positions] = split.labels
        return replace(split, labels=labels)

    return replace(
        dataset,
        class_names=names,
        notes=notes,
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
    if indices and not len(test):
        raise InputError(f"test index {indices[0]}: there are no test images. Pass image files.")
    for index in indices:
        if not 0 <= index < len(test):
            raise InputError(f"test index {index}: not in the test set. Use an index from 0 to {len(test) - 1}.")


def _recorded_folder(record: DatasetRecord) -> Path | None:
    """Return the CIFAR-10 folder used in training, if it still contains CIFAR-10."""
    folder = Path(record.data_dir) if record.data_dir else None
    return folder if folder and cifar10.find(folder) else None
