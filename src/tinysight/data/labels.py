"""Labels of images: one class each (multi-class), or any number of labels each (multi-label).

Both are int64 arrays. Multi-class: (n,), indices into the class names. Multi-label: (n, labels), 1 where the image has
the label and 0 elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinysight._util.errors import DataError, InputError

Labels = NDArray[np.int64]
Task = Literal["multi-class", "multi-label"]
Measure = Literal["accuracy", "mean average precision"]

SEPARATOR = "|"  # between the labels of an image, in tables


def task_of(labels: NDArray[Any]) -> Task:
    """Return the task that labels of this shape are for."""
    return "multi-class" if labels.ndim == 1 else "multi-label"


def measure_of(task: Task) -> Measure:
    """Return the main measure of a task."""
    return "mean average precision" if task == "multi-label" else "accuracy"


def is_missing_value(label: Any) -> bool:
    """Return whether a label is NaN, NaT or `pandas.NA`: these differ from themselves, or raise in a condition."""
    try:
        return bool(label != label)
    except TypeError:
        return True


def require_multi_class(task: Task, feature: str, instead: str) -> None:
    """Raise InputError if images may have several labels, which `feature` does not support; `instead` is a sentence."""
    if task == "multi-label":
        raise InputError(f"{feature}: does not support several labels per image. {instead}")


def check_label_names(names: Sequence[str], source: str) -> None:
    """Raise DataError if columns of 0 and 1 have names that cannot be those of labels; `source` names the table."""
    for name in names:
        if not name:
            raise DataError(f"{source}: a column without a name. Name or remove it.")
        if names.count(name) > 1:
            raise DataError(f"{source}: two columns {name!r}. Remove one.")
        if SEPARATOR in name:
            raise DataError(f"{source}: the column {name!r} has {SEPARATOR!r}, which separates labels. Rename it.")


def has_label(labels: Labels, label: int) -> NDArray[np.bool_]:
    """Return whether each image has one label, bool (n,)."""
    return np.asarray(labels == label if labels.ndim == 1 else labels[:, label] == 1)


def label_pairs(labels: Labels) -> list[tuple[int, int]]:
    """Return a pair for each label of each image: the index of the image, and of the label."""
    pairs = np.argwhere(labels) if labels.ndim == 2 else np.stack([np.arange(len(labels)), labels], axis=1)
    return [(image, label) for image, label in pairs.tolist()]


def count_labels(labels: Labels, num_classes: int) -> list[int]:
    """Return the number of images with each of `num_classes` labels."""
    counts = np.bincount(labels, minlength=num_classes) if labels.ndim == 1 else labels.sum(0)
    return [int(count) for count in counts]


def label_names(label: Any, class_names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the labels of one image: of its class index, or of its row of 0 and 1."""
    return tuple(class_names[index] for index in (np.flatnonzero(label).tolist() if np.ndim(label) else [label]))


def describe_label(label: Any, class_names: Sequence[str]) -> str:
    """Return the labels of one image as text.

    >>> describe_label(1, ["cat", "dog"]), describe_label([1, 1], ["cat", "dog"])
    ('dog', 'cat, dog')
    >>> describe_label([0, 0], ["cat", "dog"])
    'no label'
    """
    return ", ".join(label_names(label, class_names)) or "no label"
