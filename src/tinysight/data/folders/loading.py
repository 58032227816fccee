"""A folder of images, one folder a class, as a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tinysight.data.cache import cache_folder
from tinysight.data.dataset import Dataset, Labels, Part, Pixels
from tinysight.data.folders.listing import Listing, scan
from tinysight.data.folders.pixel_cache import decode_cached
from tinysight.data.intake.decoding import Failure
from tinysight.data.splits import hold_out
from tinysight.errors import DataError
from tinysight.progress import SILENT, Progress

__all__ = ["load", "scan"]

_TEST_SHARE = 0.2
_TEST_SEED = 0  # not the run's seed: every run on a folder is tested on the same images
_MOST_NAMED = 10


def load(
    folder: Path,
    image_size: tuple[int, int] = (32, 32),
    skip_bad: bool = False,
    progress: Progress = SILENT,
    cache: Path | None = None,
) -> Dataset:
    """Decode a folder of images into a dataset.

    Without a test folder a fifth of every class is set aside as test, the same one every time.

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
    """
    listing = scan(folder)
    files = [file for split in listing.splits.values() for file in split.files]
    kept_in = cache_folder() / "folders" if cache is None else cache
    pixels, failures = decode_cached(folder, files, image_size, kept_in, progress)
    remarks = []
    if failures:
        remarks.append(_left_out(folder, files, failures, skip_bad))
    parts = _parts(listing, pixels, [index for index, _ in failures])
    if "test" not in parts:
        _require_enough(parts, listing.class_names)
        parts["train"], parts["test"] = _set_aside(parts["train"], listing.class_names)
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


def _parts(listing: Listing, pixels: Pixels, failed: Sequence[int]) -> dict[str, Part]:
    usable = np.ones(len(pixels), dtype=bool)
    usable[list(failed)] = False
    parts = {}
    start = 0
    for name, split in listing.splits.items():
        where = slice(start, start + len(split.files))
        part = Part(pixels[where], np.array(split.labels, dtype=np.int64), split.files)
        if not usable[where].all():
            part = _take(part, np.flatnonzero(usable[where]))
        lost = set(split.labels) - set(part.labels.tolist())
        if lost:
            lost_class = listing.class_names[min(lost)]
            raise DataError(f"No {name} image of class {lost_class} can be read; mend them or add others.")
        parts[name] = part
        start = where.stop
    return parts


def _require_enough(parts: Mapping[str, Part], class_names: Sequence[str]) -> None:
    """Refuse a class that has not an image for every use, before some are set aside and not counted any more."""
    uses = ["to learn from", *([] if "validation" in parts else ["to validate with"]), "to test with"]
    for name, count in zip(class_names, parts["train"].counts(len(class_names)), strict=True):
        if count < len(uses):
            images = "1 usable image" if count == 1 else f"{count} usable images"
            each = f"{', '.join(uses[:-1])} and {uses[-1]}"
            raise DataError(
                f"Class {name} has {images}, but {len(uses)} are needed, one each {each}; add more or leave it out."
            )


def _set_aside(part: Part, class_names: Sequence[str]) -> tuple[Part, Part]:
    kept, held_out = hold_out(part.labels, _TEST_SHARE, _TEST_SEED, class_names)
    return _take(part, kept), _take(part, held_out)


def _take(part: Part, indices: Labels) -> Part:
    return Part(part.pixels[indices], part.labels[indices], tuple(part.files[index] for index in indices))
