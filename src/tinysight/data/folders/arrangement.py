"""In which order the images of a folder are kept, and which of them are set aside as test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

import numpy as np

from tinysight.data.folders.listing import Listing, Split
from tinysight.data.splits import Indices, hold_out
from tinysight.errors import DataError

_TEST_SHARE = 0.2
_SEED = 0  # not the run's seed: every run on a folder is tested on the same images


def arranged(listing: Listing) -> Listing:
    """Return a listing of the same images in random order, the same one every time, with a split to test with.

    Images that lie side by side are then a fair sample of all classes, and training can read them from a disk in large
    pieces. Without a test folder a fifth of every class is set aside as test, before anything is decoded, so that the
    images of each split lie together.

    Raises:
        DataError: a class has too few images for that.
    """
    splits = listing.splits
    if "test" not in splits:
        require_enough(listing)
        train = splits["train"]
        kept, held_out = hold_out(np.array(train.labels, dtype=np.int64), _TEST_SHARE, _SEED)
        splits = {**splits, "train": _taken(train, kept), "test": _taken(train, held_out)}
    shuffled = {
        name: _taken(split, np.random.default_rng(_SEED).permutation(len(split.files)))
        for name, split in splits.items()
    }
    return replace(listing, splits=shuffled)


def require_enough(listing: Listing, unreadable: Collection[str] = ()) -> None:
    """Refuse a class of a folder without test images that has not an image for every use.

    Raises:
        DataError: it says how many there are, those that are `unreadable` not counted.
    """
    uses = ["to learn from", *([] if "validation" in listing.splits else ["to validate with"]), "to test with"]
    drawn_from = [split for name, split in listing.splits.items() if name != "validation"]
    counts = Counter(
        label
        for split in drawn_from
        for file, label in zip(split.files, split.labels, strict=True)
        if file not in unreadable
    )
    for label, name in enumerate(listing.class_names):
        if (count := counts[label]) < len(uses):
            images = "1 usable image" if count == 1 else f"{count} usable images"
            each = f"{', '.join(uses[:-1])} and {uses[-1]}"
            raise DataError(
                f"Class {name} has {images}, but {len(uses)} are needed, one each {each}; add more or leave it out."
            )


def _taken(split: Split, indices: Indices) -> Split:
    chosen = indices.tolist()
    return Split(tuple(split.files[index] for index in chosen), tuple(split.labels[index] for index in chosen))
