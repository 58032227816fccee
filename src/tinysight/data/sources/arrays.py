"""Data source: images and labels in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from tinysight._util.errors import DataError
from tinysight.data.dataset import IN_MEMORY, NOT_STATED, Dataset, LabelType, Note, Provenance, Split
from tinysight.data.image_io.from_arrays import default_crops, to_pixels
from tinysight.data.labels import Labels, check_label_names, is_missing_value, label_pairs
from tinysight.data.source import DataSource, LoadOptions
from tinysight.data.source_report import SourceReport
from tinysight.data.splits import TEST_FRACTION, TEST_SEED, check_class_sizes, hold_out, subset

_ONE_HOT = (
    "y has one column for each label, so that images may have several, but each image has exactly one. If one is the "
    "rule, pass y.argmax(1).",
)


class ArraysSource(DataSource):
    """Images and labels, as a pair (X, y)."""

    name = "arrays"
    provenance = Provenance(f"Images passed from memory. {NOT_STATED}")

    def matches(self, spec: object) -> bool:
        """Return whether `spec` is a pair, or the recorded argument of one."""
        return (isinstance(spec, tuple) and len(spec) == 2) or (isinstance(spec, str) and spec == IN_MEMORY)

    def argument(self, spec: tuple[Any, Any] | str) -> str:
        """Return `IN_MEMORY`. It raises DataError if `spec` is that text itself, because the images are gone."""
        _require_images(spec)
        return IN_MEMORY

    def load(self, spec: tuple[Any, Any] | str, options: LoadOptions) -> Dataset:
        """Convert the images. A fifth of each class becomes the test split, the same on every call."""
        images, labels = _require_images(spec)
        dataset = dataset_from_arrays(images, labels, options.image_size, options.needs_splits)
        train = dataset.train
        images_by_label = ((label, str(image)) for image, label in label_pairs(train.labels))
        try:
            check_class_sizes(images_by_label, dataset.class_names, has_validation=False)
            kept, held_out = hold_out(train.labels, (), TEST_FRACTION, TEST_SEED, dataset.class_names)
        except DataError:
            if options.needs_splits:
                raise
            return replace(dataset, has_drawn_test=True)
        text = (
            f"The arrays have no test split. {len(held_out)} images, a fifth of each class, "
            "were chosen at random as the test split. The choice is always the same."
        )
        train, test = (Split(train.pixels[indices], train.labels[indices]) for indices in (kept, held_out))
        return replace(dataset, train=train, test=test, notes=(Note(text, "test split"),), has_drawn_test=True)


SOURCE = ArraysSource()


def dataset_from_arrays(images: Any, labels: Any, image_size: int, needs_splits: bool = True) -> Dataset:
    """Return a dataset of all images as the training split, with an empty test split.

    Args:
        images: images of any kind that `to_pixels` accepts.
        labels: the label of each image, (n,): text or numbers, of at least two classes. Or the labels of each image,
            (n, labels) of 0 and 1, for at least two labels. Their names are the columns of a DataFrame, or indices.
        image_size: side of the images in pixels; others are resized.
        needs_splits: whether there must be two classes, and an image of each label. Else one class is enough.

    Raises:
        DataError: the labels do not fit the images, or there are fewer than two classes.
        InputError: `images` does not hold images.
    """
    pixels, targets = to_pixels(images, image_size), label_array(labels)
    crops = default_crops(images, image_size)
    if targets.ndim == 2 and targets.shape[1] > 1:
        names = tuple(str(name) for name in getattr(labels, "columns", range(targets.shape[1])))
        split = Split(pixels, _indicators(targets, len(pixels), names, needs_splits))
        empty, named = subset(split, np.arange(0)), hasattr(labels, "columns")
        label_type: LabelType = "str" if named else "int"
        report = SourceReport(remarks=_ONE_HOT if (split.labels.sum(1) == 1).all() else ())
        dataset = Dataset("images", split, empty, names, "images in memory", crops=crops, label_type=label_type)
        return replace(dataset, report=report)
    if targets.shape != (len(pixels),):
        raise DataError(f"y: shape {targets.shape} for {len(pixels):,} images. Pass one label for each image.")
    classes, codes = _unique(targets)
    if not len(classes):
        raise DataError("X: has no images. Pass at least one image of each class.")
    if len(classes) < 2 and needs_splits:
        raise DataError(f"y: has the single class {classes.tolist()}. Pass at least two classes.")
    codes = codes.astype(np.int64)
    values = classes.tolist()
    names = tuple(label.decode(errors="replace") if isinstance(label, bytes) else str(label) for label in values)
    type_names = {type(label).__name__ for label in values}
    label_types: tuple[LabelType, ...] = get_args(LabelType)
    label_type = next((name for name in label_types if type_names == {name}), "str")
    empty = Split(pixels[:0], codes[:0])
    return Dataset("images", Split(pixels, codes), empty, names, "images in memory", crops=crops, label_type=label_type)


def label_array(labels: Any) -> NDArray[Any]:
    """Return labels as an array, (n,), or (n, labels) if images may have several. A column (n, 1) becomes (n,).

    Raises:
        DataError: `labels` cannot be an array, has rows of different lengths, or some labels are missing.
    """
    try:
        array = np.array(labels.tolist(), dtype=object) if np.ma.is_masked(labels) else np.asarray(labels)
    except ValueError as error:
        raise DataError(
            "y: its rows have different lengths. Pass one label for each image, or a matrix of 0 and 1 such as "
            "sklearn.preprocessing.MultiLabelBinarizer returns."
        ) from error
    except (TypeError, RuntimeError) as error:  # of torch: a tensor on a GPU, or with a gradient
        raise DataError(f"y: cannot be an array ({error}) Pass a list or an array.") from error
    if array.ndim == 0:
        raise DataError(f"y: a {type(labels).__name__}, not a list or array. Pass one label for each image.")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind == "T":  # StringDType, which scikit-learn does not know
        array = np.array(array.tolist())
    missing = _missing(array)
    if len(missing):
        count = f"{len(missing):,} labels are" if len(missing) > 1 else "a label is"
        raise DataError(f"y: {count} missing, the first is that of image {missing[0]}. Remove images without a label.")
    return array


def _missing(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return the positions of labels (n,) that are None, NaN or empty text; none of a matrix."""
    if labels.ndim > 1:
        return np.arange(0)
    if labels.dtype.kind == "O":
        is_missing = [label is None or is_missing_value(label) or label == "" for label in labels]
        return np.flatnonzero(is_missing)
    is_text = labels.dtype.kind in "US"
    return np.flatnonzero(np.char.str_len(labels) == 0 if is_text else labels != labels)  # NaN differs from itself


def _unique(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the sorted classes, and the position of each label in them."""
    try:
        return np.unique(labels, return_inverse=True)
    except TypeError as error:
        types = sorted({type(label).__name__ for label in labels})
        raise DataError(
            f"y: has labels of different types: {', '.join(types)}. Convert all labels to one type."
        ) from error


def _indicators(targets: NDArray[Any], n_images: int, names: Sequence[str], needs_all: bool) -> Labels:
    """Return the labels of images that may have several, int64 (n, labels) of 0 and 1."""
    if len(targets) != n_images:
        raise DataError(f"y: shape {targets.shape} for {n_images:,} images. Pass one row for each image.")
    if targets.dtype.kind not in "biuf" or not np.isin(targets, (0, 1)).all():
        raise DataError("y: holds other values than 0 and 1. Pass 1 for each label of an image, and 0 elsewhere.")
    check_label_names(names, "y")
    missing = [name for name, count in zip(names, targets.sum(0), strict=True) if not count]
    if missing and needs_all:
        raise DataError(f"y: no image has the label {missing[0]!r}. Add some or remove its column.")
    return targets.astype(np.int64)


def _require_images(spec: tuple[Any, Any] | str) -> tuple[Any, Any]:
    if isinstance(spec, str):
        raise DataError(
            "In-memory dataset: the images were not saved with the run. Train on a folder to evaluate the run later."
        )
    return spec
