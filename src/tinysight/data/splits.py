"""Splits: training and validation images as a recipe defines them, and test images of a dataset without any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from tinysight._util.errors import DataError
from tinysight.data.dataset import Dataset, Labels, Split
from tinysight.data.image_ids import all_image_ids, check_ids, image_ids, read_image_ids
from tinysight.data.labels import count_labels
from tinysight.data.pixels import take
from tinysight.recipes.schema import DataSection

Indices = NDArray[np.int64]
SplitStrategy = Literal["stratified", "last-20%", "first-10000", "time"]

MAX_CHECKED_PAIRS = 5_000_000  # of training and other images, searched in a few seconds before training
TEST_FRACTION = 0.2
TEST_SEED = 0  # not the run's seed: all runs on a dataset use the same test images
UNLABELED = -1  # the class of images without any of several labels


@dataclass(frozen=True)
class TrainSplit:
    """The images of a training run.

    Attributes:
        train: the dataset's training split, which may include the validation images.
        train_indices: indices into `train` of the images to train on; indices avoid a copy.
        validation: the images to validate on.
        n_dropped: number of training images left out as near-duplicates of validation or test images.
        validation_indices: indices of the validation images into the dataset's validation split, or else its training
            split; None if they are of another source.
    """

    train: Split
    train_indices: NDArray[np.int64]
    validation: Split
    n_dropped: int = 0
    validation_indices: NDArray[np.int64] | None = None


def split_dataset(dataset: Dataset, data: DataSection, seed: int) -> TrainSplit:
    """Split off the validation images, unless the dataset has a validation split.

    Excluded images are removed after the split, so that no other image changes sides.

    Raises:
        DataError: there are too few images for the recipe's split, or its list of excluded images is unreadable, names
            unknown images, or leaves none to train on or to validate on; no training image has one of several labels.
    """
    train = dataset.train
    names = image_ids(train, "train")
    if dataset.validation is not None:
        learn, chosen, validation = np.arange(len(train)), np.arange(len(dataset.validation)), dataset.validation
        validation_ids = image_ids(validation, "validation")
    else:
        learn, chosen = train_validation_split(dataset, data.split, data.validation_fraction, seed)
        validation, validation_ids = subset(train, chosen), tuple(names[index] for index in chosen)
    n_dropped = 0
    if data.near_duplicates == "drop":
        is_copy = np.isin(np.arange(len(learn)), duplicates_across(train, learn, validation, dataset.test)[:, 0])
        learn, n_dropped = learn[~is_copy], int(is_copy.sum())
        classes = len(dataset.class_names)
        if np.count_nonzero(count_labels(train.labels[learn], classes)) < np.count_nonzero(train.class_counts(classes)):
            raise DataError(
                f"{dataset.name}: without near-duplicates of validation and test images, a class has no training images"
                " left. Keep near-duplicates together instead."
            )
    if dataset.task == "multi-label":
        _check_positives(dataset, learn)
    if data.exclude_file is None:
        return TrainSplit(train, learn, validation, n_dropped, chosen)
    excluded = read_excluded(Path(data.exclude_file), dataset)
    kept_train = np.array([index for index in learn if names[index] not in excluded], dtype=np.int64)
    kept_validation = np.array([i for i, name in enumerate(validation_ids) if name not in excluded], dtype=np.int64)
    if not len(kept_train) or not len(kept_validation):
        raise DataError(f"{data.exclude_file}: no training or no validation images are left. Exclude fewer.")
    if dataset.task == "multi-label":
        _check_positives(dataset, kept_train)
    return TrainSplit(train, kept_train, subset(validation, kept_validation), n_dropped, chosen[kept_validation])


def _check_positives(dataset: Dataset, learn: Indices) -> None:
    """Raise DataError if none of the training images has one of the labels."""
    counts = count_labels(dataset.train.labels[learn], len(dataset.class_names))
    if missing := [name for name, count in zip(dataset.class_names, counts, strict=True) if not count]:
        raise DataError(
            f"{dataset.name}: no training image has the label {missing[0]!r}. Add some or remove the label."
        )


def duplicates_across(train: Split, learn: Indices, *others: Split) -> NDArray[np.int64]:
    """Return the pairs of near-duplicates of a training image and an image of another split, int64 (k, 2).

    Each pair holds an index into `learn`, and one into the images of `others`, one split after the other.
    """
    from tinysight.data.near_duplicates import find_near_duplicates

    pixels = np.concatenate([take(train.pixels, learn), *(other.pixels for other in others)])
    pairs: NDArray[np.int64] = find_near_duplicates(pixels, between=len(learn)).pairs - np.array([0, len(learn)])
    return pairs


def train_validation_split(
    dataset: Dataset, strategy: SplitStrategy, fraction: float = 0.1, seed: int = 0
) -> tuple[Indices, Indices]:
    """Split the training images into training and validation images.

    Args:
        dataset: the dataset; only its training split is used.
        strategy: "stratified" draws the same fraction of every class at random. "last-20%" takes the last fifth in
            dataset order, like Keras' `validation_split=0.2`. "first-10000" takes the first 10,000 images.
        fraction: fraction of validation images, between 0 and 1; used by "stratified" only.
        seed: random seed; used by "stratified" only.

    Returns:
        Sorted indices into `dataset.train`: (training, validation).

    Raises:
        DataError: there are too few images to split, or "last-20%" or "first-10000" would split a group.
    """
    train, validation = _split(dataset, strategy, fraction, seed)
    groups = dataset.train.groups
    if groups and (shared := {groups[index] for index in train} & {groups[index] for index in validation}):
        raise DataError(
            f"Group {min(shared)}: the split {strategy} would put its images on both sides. Use the stratified split."
        )
    return train, validation


def _split(dataset: Dataset, strategy: SplitStrategy, fraction: float, seed: int) -> tuple[Indices, Indices]:
    match strategy:
        case "stratified":
            train = dataset.train
            return hold_out(train.labels, train.groups, fraction, seed, dataset.class_names)
        case "last-20%":
            return _split_at(len(dataset.train), validation=slice(len(dataset.train) * 4 // 5, None))
        case "first-10000":
            return _split_at(len(dataset.train), validation=slice(None, 10_000))
        case "time":  # `arrange` sets the validation split
            raise DataError(f"{dataset.name}: not split by time. Use a table with a column time.")
        case _:
            assert_never(strategy)


def read_excluded(path: Path, dataset: Dataset) -> frozenset[str]:
    """Return the ids of the images listed in a CSV file.

    Raises:
        DataError: the file is unreadable, or lists images that are not in the dataset.
    """
    names = read_image_ids(path)
    check_ids(names, all_image_ids(dataset), path, dataset.name)
    return frozenset(names)


def join(first: Split, second: Split) -> Split:
    """Return the images of two splits, one split after the other."""
    unweighted = first.weights is None or second.weights is None
    return Split(
        np.concatenate([first.pixels, second.pixels]),
        np.concatenate([first.labels, second.labels]),
        (*first.files, *second.files),
        (*first.groups, *second.groups),
        None if unweighted else np.concatenate([first.weights, second.weights]),
        (*first.times, *second.times),
    )


def subset(split: Split, indices: NDArray[np.int64]) -> Split:
    """Return the images of a split at the given indices."""
    files = tuple(split.files[index] for index in indices) if split.files else ()
    groups = tuple(split.groups[index] for index in indices) if split.groups else ()
    weights = None if split.weights is None else split.weights[indices]
    times = tuple(split.times[index] for index in indices) if split.times else ()
    return Split(take(split.pixels, indices), split.labels[indices], files, groups, weights, times)


def hold_out(
    labels: Labels, groups: Sequence[str], fraction: float, seed: int, class_names: Sequence[str] = ()
) -> tuple[Indices, Indices]:
    """Hold out whole groups with `grouped_split` if there are groups, else images with `stratified_split`.

    Images of several labels each, (n, labels), cannot be drawn class by class, so each is a group of its own.
    """
    if groups or labels.ndim == 2:
        return grouped_split(labels, groups or range(len(labels)), fraction, seed, class_names)
    return stratified_split(labels, fraction, seed, class_names)


def stratified_split(
    labels: Labels, fraction: float, seed: int, class_names: Sequence[str] = ()
) -> tuple[Indices, Indices]:
    """Hold out a random fraction of every class.

    Args:
        labels: int64, (n,).
        fraction: fraction of each class to hold out, between 0 and 1. The number of images is rounded, with at
            least one image of every class on either side.
        seed: random seed.
        class_names: class names for error messages; by default the label itself.

    Returns:
        Sorted indices into `labels`: (kept, held out).

    Raises:
        DataError: a class has only one image, or the fraction is not between 0 and 1.
    """
    _check_fraction(fraction)
    random = np.random.default_rng(seed)
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            name = class_names[label] if class_names else label
            raise DataError(f"Class {name}: one training image, but a split needs two. Add images or remove the class.")
        size = min(max(round(fraction * len(members)), 1), len(members) - 1)
        held_out[random.choice(members, size, replace=False)] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def grouped_split(
    labels: Labels, groups: Sequence[str | int], fraction: float, seed: int, class_names: Sequence[str] = ()
) -> tuple[Indices, Indices]:
    """Hold out whole groups, which together have about the same fraction of every class.

    First, every class gets a held-out group, the class with the fewest groups first. Then groups are added in random
    order as long as each brings the held-out fractions closer to `fraction`. A group that has the last remaining
    images of a class is never held out. Of several labels per image, each is a class, and so is having none.

    Args:
        labels: int64, (n,), or (n, labels) of 0 and 1.
        groups: the group of each image, (n,).
        fraction: fraction of each class to hold out, between 0 and 1.
        seed: random seed.
        class_names: class names for error messages; by default the label itself.

    Returns:
        Sorted indices into `labels`: (kept, held out).

    Raises:
        DataError: a class has too few groups for both sides, or the fraction is not between 0 and 1.
    """
    _check_fraction(fraction)
    classes, members = _class_members(labels)
    names, group_of = np.unique(list(groups), return_inverse=True)
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, group_of, members)
    shares = counts / counts.sum(0)  # fraction of each class that is in each group
    order = np.random.default_rng(seed).permutation(len(names))
    held_out, total = np.zeros(len(names), dtype=bool), np.zeros(len(classes))

    def error_with(members: Indices) -> NDArray[np.float64]:
        """Return the squared distance from the wanted fractions after each of `members` is added; inf if too many."""
        after = total + shares[members]
        distance: NDArray[np.float64] = ((after - fraction) ** 2).sum(1)
        return np.where((after > 1 - 1e-9).any(1), np.inf, distance)

    for column in np.argsort((counts > 0).sum(0), kind="stable"):
        if total[column] == 0:
            candidates = order[(counts[order, column] > 0) & ~held_out[order]]
            errors = error_with(candidates)
            if not len(errors) or np.isinf(errors.min()):
                label = classes[column]
                if label == UNLABELED:  # the split need not have such images on either side
                    continue
                name = class_names[label] if class_names else label
                if len(names) == len(labels):
                    raise DataError(f"Class {name}: too few images to split. Add images or remove the class.")
                raise DataError(
                    f"Class {name}: too few groups to split, because groups stay whole. Add images of other groups or "
                    "remove the class."
                )
            chosen = candidates[errors.argmin()]
            held_out[chosen] = True
            total = total + shares[chosen]
    for group in order[~held_out[order]]:
        if error_with(np.array([group]))[0] < ((total - fraction) ** 2).sum():
            held_out[group] = True
            total = total + shares[group]
    is_held_out = held_out[group_of]
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def stratified_folds(labels: Labels, groups: Sequence[str | int], folds: int, seed: int) -> list[Indices]:
    """Return the images of each fold: whole groups, with about the same number of images of every class in each fold.

    Of several labels per image, each is a class, and so is having none. The method is iterative stratification
    (Sechidis et al., "On the Stratification of Multi-label Data", ECML PKDD 2011), with groups in place of images: the
    class with the fewest remaining groups is dealt next, largest group first, each to the fold that lacks most of its
    images.

    Args:
        labels: int64, (n,), or (n, labels) of 0 and 1.
        groups: the group of each image, (n,).
        folds: number of folds.
        seed: random seed.

    Returns:
        Sorted indices into `labels`, by fold. Folds are empty if there are more of them than groups.
    """
    _, members = _class_members(labels)
    names, group_of = np.unique(list(groups), return_inverse=True)
    counts, sizes = np.zeros((len(names), members.shape[1])), np.bincount(group_of)
    np.add.at(counts, group_of, members)
    lacking, room = np.tile(counts.sum(0) / folds, (folds, 1)), np.full(folds, len(labels) / folds)
    fold_of, remaining = np.empty(len(names), dtype=np.int64), np.random.default_rng(seed).permutation(len(names))
    while len(remaining):
        n_groups = (counts[remaining] > 0).sum(0)
        rarest = np.where(n_groups > 0, n_groups, np.inf).argmin()
        dealt = remaining[counts[remaining, rarest] > 0]
        for group in dealt[np.argsort(-counts[dealt, rarest], kind="stable")]:
            fold = np.lexsort((-room, -lacking[:, rarest]))[0]
            fold_of[group] = fold
            lacking[fold] -= counts[group]
            room[fold] -= sizes[group]
        remaining = remaining[counts[remaining, rarest] == 0]
    return [np.flatnonzero(fold_of[group_of] == fold) for fold in range(folds)]


def _class_members(labels: Labels) -> tuple[Indices, NDArray[np.bool_]]:
    """Return the classes that have images, and whether each image belongs to each, bool (n, classes)."""
    if labels.ndim == 1:
        classes = np.unique(labels)
        return classes, labels[:, None] == classes
    members = np.column_stack([labels, ~labels.any(axis=1)]).astype(bool)
    classes = np.append(np.arange(labels.shape[1]), UNLABELED)
    has_images = members.any(axis=0)
    return classes[has_images], members[:, has_images]


def check_class_sizes(
    images: Iterable[tuple[int, str]], class_names: Sequence[str], has_validation: bool, unit: str = "image"
) -> None:
    """Check that each class has at least one image or group for each split of a dataset without a test split.

    Args:
        images: label of each image, and its name, or its group if there are groups.
        class_names: class names in the order of the labels.
        has_validation: whether the dataset has a validation split, whose images are not counted.
        unit: what is counted, for the message: "image" or "group".

    Raises:
        DataError: a class has too few.
    """
    needed = ["train", *([] if has_validation else ["validation"]), "test"]
    counts = Counter(label for label, _ in set(images))
    for label, name in enumerate(class_names):
        if (count := counts[label]) < len(needed):
            units = f"1 usable {unit}" if count == 1 else f"{count} usable {unit}s"
            raise DataError(
                f"Class {name}: {units}, but {len(needed)} are needed, one each for {', '.join(needed[:-1])} and "
                f"{needed[-1]}. Add images or remove the class."
            )


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise DataError(f"Validation fraction {fraction:g}: out of range. Choose a value between 0 and 1.")


def _split_at(count: int, validation: slice) -> tuple[Indices, Indices]:
    held_out = np.zeros(count, dtype=bool)
    held_out[validation] = True
    if held_out.all() or not held_out.any():
        raise DataError(f"{count} training images: this split leaves one side empty. Use the stratified split.")
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
