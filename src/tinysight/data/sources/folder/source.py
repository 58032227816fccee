"""Datasets from image folders."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import compress
from pathlib import Path

import numpy as np

from tinysight._util.errors import DataError
from tinysight._util.progress import SILENT, Progress
from tinysight.data.cache import cache_folder
from tinysight.data.dataset import Dataset, Pixels, Split
from tinysight.data.image_io.decoding import DecodeFailure
from tinysight.data.sources.folder.ordering import check_class_sizes, shuffle_and_split
from tinysight.data.sources.folder.pixel_cache import decode_cached
from tinysight.data.sources.folder.scan import FolderIndex, scan_folder

_MAX_LISTED = 10


def load_folder(
    folder: Path,
    image_size: tuple[int, int] = (32, 32),
    skip_unreadable: bool = False,
    progress: Progress = SILENT,
    cache: Path | None = None,
) -> Dataset:
    """Decode a folder of images into a dataset.

    Without a test folder, a fifth of each class becomes the test split. The test images and the random order of the
    images are the same on every call. Pixels that do not fit into memory are mapped from the cache.

    Args:
        folder: a folder with the layout that `scan_folder` describes.
        image_size: height and width that every image is resized to (see `image_io`), in pixels.
        skip_unreadable: skip files that cannot be decoded instead of raising an error.
        progress: receives the number of decoded images.
        cache: folder for decoded images; None for tinysight's default.

    Returns:
        The dataset; its splits list their files relative to `folder`.

    Raises:
        DataError: the folder has another layout, files cannot be decoded, or a class has too few images.
        StorageError: the images do not fit into memory and the cache cannot be written.
    """
    scanned = scan_folder(folder)
    listing = shuffle_and_split(scanned)
    files = [file for split in listing.splits.values() for file in split.files]
    cache_dir = cache_folder() / "folders" if cache is None else cache
    pixels, failures = decode_cached(folder, files, image_size, cache_dir, progress)
    unreadable = frozenset(files[index] for index, _ in failures)
    remarks = [_report_failures(folder, files, failures, skip_unreadable)] if failures else []
    if created_test := "test" not in scanned.splits:
        check_class_sizes(scanned, unreadable)
    parts = _split_pixels(listing, pixels, unreadable)
    if created_test:
        remarks.append(
            f"The folder has no test split. {len(parts['test'])} images, a fifth of each class, "
            "were chosen at random as the test split. The choice is always the same."
        )
    return Dataset(
        name=folder.resolve().name,
        train=parts["train"],
        test=parts["test"],
        class_names=listing.class_names,
        source=f"image files in {folder.resolve()}",
        validation=parts.get("validation"),
        notes=tuple(remarks),
    )


def _report_failures(folder: Path, files: Sequence[str], failures: Sequence[DecodeFailure], skip_bad: bool) -> str:
    """Return the note about skipped files, or raise DataError if unreadable files are not skipped."""
    failures = sorted(failures, key=lambda failure: files[failure[0]])
    count = f"{len(failures)} of {len(files)} image files"
    if skip_bad:
        names = [_one_line(files[index]) for index, _ in failures]
        return f"{count} in {_one_line(str(folder))} cannot be read and are skipped: {_truncated(names, ', ')}."
    raise DataError(
        f"{_one_line(str(folder))}: {count} cannot be read. Repair them or skip them with --skip-unreadable:\n"
        + _truncated([message for _, message in failures], "\n")
    )


def _truncated(items: Sequence[str], separator: str) -> str:
    more = [f"and {len(items) - _MAX_LISTED} more"] if len(items) > _MAX_LISTED else []
    return separator.join([*items[:_MAX_LISTED], *more])


def _one_line(name: str) -> str:
    # Notes become comments in text files. A line break in a file name must not end the comment.
    return name if name.isprintable() else repr(name)


def _split_pixels(listing: FolderIndex, pixels: Pixels, unreadable: Collection[str]) -> dict[str, Split]:
    """Return the splits as views of `pixels`, which holds all readable files in the order of the index."""
    parts, start = {}, 0
    for name, split in listing.splits.items():
        readable = np.array([file not in unreadable for file in split.files])
        files = tuple(compress(split.files, readable))
        labels = np.array(split.labels, dtype=np.int64)[readable]
        if missing := set(split.labels) - set(labels.tolist()):
            class_name = listing.class_names[min(missing)]
            raise DataError(f"Class {class_name}: none of its {name} images can be read. Repair them or add others.")
        parts[name] = Split(pixels[start : start + len(files)], labels, files)
        start += len(files)
    return parts
