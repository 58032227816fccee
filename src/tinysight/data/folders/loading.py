"""A folder of images, one folder a class, as a dataset."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import compress
from pathlib import Path

import numpy as np

from tinysight.data.cache import cache_folder
from tinysight.data.dataset import Dataset, Part, Pixels
from tinysight.data.folders.arrangement import arranged, require_enough
from tinysight.data.folders.listing import Listing, scan
from tinysight.data.folders.pixel_cache import decode_cached
from tinysight.data.intake.decoding import Failure
from tinysight.errors import DataError
from tinysight.progress import SILENT, Progress

__all__ = ["load", "scan"]

_MOST_NAMED = 10


def load(
    folder: Path,
    image_size: tuple[int, int] = (32, 32),
    skip_bad: bool = False,
    progress: Progress = SILENT,
    cache: Path | None = None,
) -> Dataset:
    """Decode a folder of images into a dataset.

    Without a test folder a fifth of every class is set aside as test, the same one every time. Images are in an order
    of chance, also the same every time. If there are too many for memory, the pixels are mapped from the cache.

    Args:
        folder: laid out as `scan` says.
        image_size: height and width every image is brought to (see `intake.read_image`), in pixels.
        skip_bad: leave out files that cannot be decoded, instead of refusing the folder.
        progress: told how far decoding is.
        cache: the folder decoded images are kept in; None for tinysight's own.

    Returns:
        The dataset; its parts name their files relative to `folder`.

    Raises:
        DataError: the folder is not laid out as it should be, files cannot be decoded (they are named), or
            a class has too few images.
        StorageError: there are too many images for memory, and the cache cannot be written.
    """
    found = scan(folder)
    listing = arranged(found)
    files = [file for split in listing.splits.values() for file in split.files]
    kept_in = cache_folder() / "folders" if cache is None else cache
    pixels, failures = decode_cached(folder, files, image_size, kept_in, progress)
    unreadable = frozenset(files[index] for index, _ in failures)
    remarks = [_left_out(folder, files, failures, skip_bad)] if failures else []
    if drawn := "test" not in found.splits:
        require_enough(found, unreadable)
    parts = _parts(listing, pixels, unreadable)
    if drawn:
        remarks.append(
            f"The folder has no test images of its own: {len(parts['test'])} images, a fifth of every class, "
            "were drawn at random (the same ones every time) and set aside as test."
        )
    return Dataset(
        name=folder.resolve().name,
        train=parts["train"],
        test=parts["test"],
        class_names=listing.class_names,
        source=f"image files in {folder.resolve()}",
        validation=parts.get("validation"),
        remarks=tuple(remarks),
    )


def _left_out(folder: Path, files: Sequence[str], failures: Sequence[Failure], skip_bad: bool) -> str:
    """Return the remark about files that are left out, or raise it if leaving out was not asked for."""
    failures = sorted(failures, key=lambda failure: files[failure[0]])
    count = f"{len(failures)} of {len(files)} image files in {_on_one_line(str(folder))}"
    if skip_bad:
        names = [_on_one_line(files[index]) for index, _ in failures]
        return f"{count} cannot be read and are left out: {_first(names, ', ')}."
    raise DataError(
        f"{count} cannot be read; mend them, or go on without them with --skip-bad:\n"
        + _first([message for _, message in failures], "\n")
    )


def _first(items: Sequence[str], separator: str) -> str:
    more = [f"and {len(items) - _MOST_NAMED} more"] if len(items) > _MOST_NAMED else []
    return separator.join([*items[:_MOST_NAMED], *more])


def _on_one_line(name: str) -> str:
    # Remarks become comments in text files, which the name of a file must not end.
    return name if name.isprintable() else repr(name)


def _parts(listing: Listing, pixels: Pixels, unreadable: Collection[str]) -> dict[str, Part]:
    """Return views of `pixels`, which are those of all readable files in the order of the listing, by their splits."""
    parts, start = {}, 0
    for name, split in listing.splits.items():
        readable = np.array([file not in unreadable for file in split.files])
        files = tuple(compress(split.files, readable))
        labels = np.array(split.labels, dtype=np.int64)[readable]
        if lost := set(split.labels) - set(labels.tolist()):
            lost_class = listing.class_names[min(lost)]
            raise DataError(f"No {name} image of class {lost_class} can be read; mend them or add others.")
        parts[name] = Part(pixels[start : start + len(files)], labels, files)
        start += len(files)
    return parts
