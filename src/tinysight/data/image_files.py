"""Datasets of single image files: order, test split, decoding."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np

from tinysight._util.errors import DataError
from tinysight._util.files import cache_folder
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Dataset, Note, Pixels, Split
from tinysight.data.image_io.decoding import DecodeFailure
from tinysight.data.labels import Labels, count_labels, label_pairs
from tinysight.data.pixel_cache import PixelReader, decode_cached
from tinysight.data.source_report import MAX_NAMES, NO_REPORT, Finding, SourceReport, one_line, truncated
from tinysight.data.splits import TEST_FRACTION, TEST_SEED, Indices, check_class_sizes, hold_out


@dataclass(frozen=True)
class SplitFiles:
    """Image files of one split, relative to the dataset folder, with the label, group and time of each.

    A label is a class index, or a row of 0 and 1 if images may have several labels.
    """

    files: tuple[str, ...]
    labels: tuple[int | tuple[int, ...], ...]
    groups: tuple[str, ...] = ()
    times: tuple[str, ...] = ()

    @property
    def label_array(self) -> Labels:
        """The labels, int64 (n,) or (n, labels)."""
        return np.array(self.labels, dtype=np.int64)


@dataclass(frozen=True)
class FileIndex:
    """Image files of a dataset, before they are decoded.

    Attributes:
        kind: what lists the files, for messages: "folder", "zip file" or "table".
        path: the folder or table.
        folder: the folder that the files are relative to.
        class_names: the class names in the order of the labels.
        splits: "train", then "validation" and "test" if there are any.
        report: what was found besides these files.
    """

    kind: str
    path: Path
    folder: Path
    class_names: tuple[str, ...]
    splits: dict[str, SplitFiles]
    report: SourceReport = NO_REPORT


def load_image_files(
    index: FileIndex,
    image_size: tuple[int, int] = (32, 32),
    skip_unreadable: bool = False,
    progress: Progress = SILENT,
    cache: Path | None = None,
    needs_splits: bool = True,
    read_pixels: PixelReader | None = None,
) -> Dataset:
    """Decode image files into a dataset.

    Without a test split, a fifth of each class becomes the test split. The test images and the random order of the
    images are the same on every call. Pixels that do not fit into memory are mapped from the cache.

    Args:
        index: the files.
        image_size: height and width that every image is resized to (see `image_io`), in pixels.
        skip_unreadable: skip files that cannot be decoded instead of raising an error.
        progress: receives the number of decoded images.
        cache: folder for decoded images; None for tinysight's default.
        needs_splits: whether too few images of a class are an error. Else the test split is then empty.
        read_pixels: returns the pixels of files that are decoded already, instead of decoding them.

    Returns:
        The dataset; its splits list their files relative to `index.folder`.

    Raises:
        DataError: files cannot be decoded, or a class has too few images.
        StorageError: the images do not fit into memory and the cache cannot be written.
    """
    arranged = shuffle_and_split(index, needs_splits)
    files = [file for split in arranged.splits.values() for file in split.files]
    cache_dir = cache_folder() / "folders" if cache is None else cache
    pixels, failures = decode_cached(index.folder, files, image_size, cache_dir, progress, index.path, read_pixels)
    unreadable = frozenset(files[position] for position, _ in failures)
    notes: list[str] = [_report_failures(index.path, files, failures, skip_unreadable)] if failures else []
    created_test = "test" not in index.splits
    if created_test and needs_splits:
        _check_class_sizes(index, unreadable)
        if not _has_every_class(arranged, unreadable):
            # The test images were drawn before decoding, and those of a class were all unreadable. Draw readable ones.
            readable = {**index.splits, "train": _without(index.splits["train"], unreadable)}
            dataset = load_image_files(replace(index, splits=readable), image_size, skip_unreadable, progress, cache)
            skipped = (*dataset.report.skipped, *_unreadable(files, failures))
            report = replace(dataset.report, skipped=skipped)
            return replace(dataset, notes=(*notes, *dataset.notes), report=report)
    splits = _split_pixels(arranged, pixels, unreadable)
    if created_test and len(splits["test"]):
        unit = "whole groups, together about a fifth," if index.splits["train"].groups else "a fifth of each class,"
        text = (
            f"The {index.kind} has no test split. {len(splits['test'])} images, {unit} "
            "were chosen at random as the test split. The choice is always the same."
        )
        notes.append(Note(text, "test split"))
    path = index.path.resolve()
    return Dataset(
        name=path.name,
        train=splits["train"],
        test=splits["test"],
        class_names=index.class_names,
        source=f"image files {'listed in' if index.kind == 'table' else 'in'} {path}",
        validation=splits.get("validation"),
        notes=tuple(notes),
        has_drawn_test=created_test,
        folder=index.folder.resolve(),
        report=replace(
            index.report,
            used=sum(map(len, splits.values())),
            skipped=(*index.report.skipped, *_unreadable(files, failures)),
        ),
    )


def shuffle_and_split(index: FileIndex, needs_splits: bool = True) -> FileIndex:
    """Shuffle the images of each split with a fixed seed, and create a test split if there is none.

    After shuffling, neighboring images are a fair sample of all classes, so training can read large contiguous
    blocks from disk. Without a test split, a fifth of each class becomes the test split. This happens before
    decoding, so that the images of each split are stored together. If a class has too few images for that, and
    `needs_splits` is false, the test split is empty.

    Raises:
        DataError: a class has too few images.
    """
    splits = index.splits
    if "test" not in splits:
        train = splits["train"]
        labels = train.label_array
        kept, held_out = np.arange(len(labels)), np.arange(0)
        try:
            _check_class_sizes(index)
            kept, held_out = hold_out(labels, train.groups, TEST_FRACTION, TEST_SEED, index.class_names)
        except DataError:
            if needs_splits:
                raise
        splits = {**splits, "train": _subset(train, kept), "test": _subset(train, held_out)}
    shuffled = {
        name: _subset(split, np.random.default_rng(TEST_SEED).permutation(len(split.files)))
        for name, split in splits.items()
    }
    return replace(index, splits=shuffled)


def check_utf8(names: Iterable[str]) -> None:
    """Raise DataError for a name that is not valid UTF-8, because the files of a run could not list it."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            escaped = os.fsencode(name).decode(errors="backslashreplace")
            raise DataError(f"{escaped}: the name is not valid UTF-8. Rename it.") from error


def _check_class_sizes(index: FileIndex, unreadable: Collection[str] = ()) -> None:
    """Check the classes of an index without a test split, which takes one image more of each."""
    counted = [split for name, split in index.splits.items() if name != "validation"]
    images = [
        (label, split.groups[position] if split.groups else split.files[position])
        for split in counted
        for position, label in label_pairs(split.label_array)
        if split.files[position] not in unreadable
    ]
    has_groups = any(split.groups for split in counted)
    check_class_sizes(images, index.class_names, "validation" in index.splits, "group" if has_groups else "image")


def _report_failures(path: Path, files: Sequence[str], failures: Sequence[DecodeFailure], skip_unreadable: bool) -> str:
    """Return the note about skipped files, or raise DataError if unreadable files are not skipped."""
    failures = sorted(failures, key=lambda failure: files[failure[0]])
    count = f"{len(failures)} of {len(files)} image files"
    if skip_unreadable:
        names = [one_line(files[index]) for index, _ in failures]
        return f"{count} in {one_line(str(path))} cannot be read and are skipped: {truncated(names, ', ')}."
    raise DataError(
        f"{one_line(str(path))}: {count} cannot be read. Repair them or pass skip_unreadable=True:\n"
        + truncated([message for _, message in failures], "\n")
    )


def _unreadable(files: Sequence[str], failures: Sequence[DecodeFailure]) -> list[Finding]:
    names = sorted(one_line(files[position]) for position, _ in failures)
    return (
        [Finding("file", "that cannot be read", len(names), tuple(names[:MAX_NAMES]), is_noted=True)] if names else []
    )


def _split_pixels(index: FileIndex, pixels: Pixels, unreadable: Collection[str]) -> dict[str, Split]:
    """Return the splits as views of `pixels`, which holds all readable files in the order of the index."""
    splits, start = {}, 0
    for name, split in index.splits.items():
        readable = np.array([file not in unreadable for file in split.files], dtype=np.bool_)
        files = tuple(compress(split.files, readable))
        labels = split.label_array[readable]
        listed, left = (count_labels(part, len(index.class_names)) for part in (split.label_array, labels))
        if missing := [label for label, count in enumerate(listed) if count and not left[label]]:
            class_name = index.class_names[missing[0]]
            raise DataError(f"Class {class_name}: none of its {name} images can be read. Repair them or add others.")
        groups = tuple(compress(split.groups, readable))
        times = tuple(compress(split.times, readable))
        splits[name] = Split(pixels[start : start + len(files)], labels, files, groups, times=times)
        start += len(files)
    return splits


def _has_every_class(index: FileIndex, unreadable: Collection[str]) -> bool:
    """Return whether the training and the test split have a readable image of each of their classes."""
    drawn = (index.splits["train"], index.splits["test"])
    return all(set(_without(split, unreadable).labels) == set(split.labels) for split in drawn)


def _without(split: SplitFiles, unreadable: Collection[str]) -> SplitFiles:
    return _subset(split, np.flatnonzero([file not in unreadable for file in split.files]))


def _subset(split: SplitFiles, indices: Indices) -> SplitFiles:
    chosen = indices.tolist()
    return SplitFiles(
        tuple(split.files[index] for index in chosen),
        tuple(split.labels[index] for index in chosen),
        tuple(split.groups[index] for index in chosen) if split.groups else (),
        tuple(split.times[index] for index in chosen) if split.times else (),
    )
