"""Groups of a dataset, from file names and near-duplicates, and splits that keep the groups whole."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath

import numpy as np

from tinysight._util.errors import DataError
from tinysight.data.dataset import Dataset, Note, Split
from tinysight.data.splits import TEST_FRACTION, TEST_SEED, Indices, grouped_split, join, subset
from tinysight.recipes.schema import DataSection


def arrange(dataset: Dataset, data: DataSection) -> Dataset:
    """Return the dataset with the groups that `data` asks for; without any, the dataset itself.

    `data.group` takes groups from file names. `data.near_duplicates` "keep-together" joins near-duplicates, and groups
    that contain them, to one group. If the test images were drawn at random, they are drawn again as whole groups.
    With `data.split` "time", the newest images become test and validation images, and groups stay whole.

    Raises:
        DataError: the file names have no such groups, a group is in two splits, or a class has too few groups.
    """
    if data.group is not None:
        dataset = _with_groups(dataset, data.group)
    if data.near_duplicates == "keep-together":
        dataset = _keep_together(dataset)
    return _split_by_time(dataset, data.validation_fraction) if data.split == "time" else dataset


def _with_groups(dataset: Dataset, rule: str) -> Dataset:
    if any(part.groups for part in dataset.splits.values()):
        raise DataError(f"{dataset.name}: already has groups. Remove the column group or the recipe's data.group.")
    if not all(part.files for part in dataset.splits.values() if len(part)):
        raise DataError(f"{dataset.name}: its images have no file names to take groups from. Remove data.group.")
    splits = {
        name: replace(part, groups=tuple(group_of(file, rule, dataset.class_names) for file in part.files))
        for name, part in dataset.splits.items()
    }
    if dataset.has_drawn_test:
        return _draw_test(dataset, splits)
    first: dict[str, str] = {}
    for name, part in splits.items():
        for group in part.groups:
            if first.setdefault(group, name) != name:
                raise DataError(
                    f"{dataset.name}: group {group!r} is in {first[group]} and {name}. Put each group into one split."
                )
    return dataset.with_splits(splits)


def group_of(file: str, rule: str, class_names: tuple[str, ...]) -> str:
    """Return the group of a file by a rule, as `data.group` takes it. Raises DataError if there is none."""
    path = PurePosixPath(file)
    if rule == "parent":
        if not path.parent.name or path.parent.name in class_names:
            raise DataError(f"{file}: not in a folder below its class. Move it into the folder of its group.")
        return path.parent.name
    match = re.search(rule, file)
    if match is None or not match[1]:
        raise DataError(f"{file}: has no group, because data.group {rule!r} does not match. Change the expression.")
    return match[1]


def _keep_together(dataset: Dataset) -> Dataset:
    """Return the dataset with near-duplicates, and the groups that contain them, as groups."""
    from tinysight.data.near_duplicates import NearDuplicates, find_near_duplicates

    free = {"train": dataset.train, **({"test": dataset.test} if dataset.has_drawn_test else {})}
    pixels = np.concatenate([part.pixels for part in free.values()])
    found = find_near_duplicates(pixels)
    groups = [group for part in free.values() for group in part.groups]
    if groups:
        _, first = np.unique(groups, return_index=True)
        _, inverse = np.unique(groups, return_inverse=True)
        joined = np.stack([first[inverse], np.arange(len(groups))], axis=1)
        pairs = np.concatenate([found.pairs, joined])
        found = NearDuplicates(pairs, np.zeros(len(pairs), np.float32), np.zeros(len(pairs), np.bool_))
    labels = [str(label) for label in found.groups(len(pixels))]
    start, splits = 0, dict(dataset.splits)
    for name, part in free.items():
        splits[name] = replace(part, groups=tuple(labels[start : start + len(part)]))
        start += len(part)
    return _draw_test(dataset, splits) if dataset.has_drawn_test else replace(dataset, train=splits["train"])


def _draw_test(dataset: Dataset, splits: dict[str, Split]) -> Dataset:
    """Draw the test images again, as whole groups that contain no image of a given validation split."""
    train, test = splits["train"], splits["test"]
    pool = join(train, test)
    if "validation" in splits and (shared := set(splits["validation"].groups) & set(pool.groups)):
        raise DataError(f"{dataset.name}: group {min(shared)!r} is in train and validation. Put it into one split.")
    kept, held_out = grouped_split(pool.labels, pool.groups, TEST_FRACTION, TEST_SEED, dataset.class_names)
    parts = {name: subset(pool, rows) for name, rows in (("train", kept), ("test", held_out))}
    text = f"Whole groups were drawn as the test split: {len(held_out)} of {len(pool)} images."
    notes = (*dataset.notes_without("test split"), Note(text, "test split"))
    return replace(dataset.with_splits({**splits, **parts}), notes=notes)


def _split_by_time(dataset: Dataset, validation_fraction: float) -> Dataset:
    train, splits = dataset.train, dataset.splits
    if dataset.has_drawn_test:
        train, splits["test"] = _split_off_newest(dataset, join(train, dataset.test), TEST_FRACTION)
    if dataset.validation is None:
        train, splits["validation"] = _split_off_newest(dataset, train, validation_fraction)
    counts = train.class_counts(len(dataset.class_names))
    if 0 in counts:
        name = dataset.class_names[counts.index(0)]
        raise DataError(
            f"Class {name}: all of its images are among the newest, so none is left to train on. Add older."
        )
    text = "Split by time: the newest images are the test images, and those before them the validation images."
    notes = (*dataset.notes_without("test split"), Note(text, "test split"))
    return replace(dataset.with_splits({**splits, "train": train}), notes=notes)


def _split_off_newest(dataset: Dataset, images: Split, fraction: float) -> tuple[Split, Split]:
    """Return the older images, and about the newest `fraction`: whole groups, each as new as its newest image."""
    if not images.times:
        raise DataError(f"{dataset.name}: its images have no times. Use a table with a column time.")
    times = [_seconds(time, file) for time, file in zip(images.times, images.files, strict=True)]
    names = images.groups or images.files
    newest: dict[str, float] = {}
    for name, time in zip(names, times, strict=True):
        newest[name] = max(time, newest.get(name, time))
    keys = np.array([newest[name] for name in names])
    _, group_of = np.unique(list(names), return_inverse=True)
    order = np.lexsort((group_of, keys))  # images of one group are neighbors, also among equal times
    start = max(1, len(order) - max(1, round(fraction * len(order))))
    while start < len(order) and names[order[start]] == names[order[start - 1]]:
        start += 1  # the group stays with the older images
    if start == len(order):
        raise DataError(f"{dataset.name}: the newest group is too large to split by time. Use smaller groups.")
    older: Indices = np.sort(order[:start])
    return subset(images, older), subset(images, np.sort(order[start:]))


def _seconds(time: str, file: str) -> float:
    """Return a time as seconds; times without a zone are in UTC."""
    with suppress(ValueError):
        if math.isfinite(number := float(time)):
            return number
    try:
        moment = datetime.fromisoformat(time)
    except ValueError as error:
        raise DataError(f"{file}: its time {time!r} is neither a number nor an ISO date. Correct it.") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
