"""Image order and test split of an image folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

import numpy as np

from tinysight._util.errors import DataError
from tinysight.data.sources.folder.scan import FolderIndex, SplitFiles
from tinysight.data.splits import Indices, stratified_split

_TEST_FRACTION = 0.2
_SEED = 0  # not the run's seed: all runs on a folder use the same test images


def shuffle_and_split(index: FolderIndex) -> FolderIndex:
    """Shuffle the images of each split with a fixed seed, and create a test split if there is none.

    After shuffling, neighboring images are a fair sample of all classes, so training can read large contiguous
    blocks from disk. Without a test folder, a fifth of each class becomes the test split. This happens before
    decoding, so that the images of each split are stored together.

    Raises:
        DataError: a class has too few images.
    """
    splits = index.splits
    if "test" not in splits:
        check_class_sizes(index)
        train = splits["train"]
        kept, held_out = stratified_split(np.array(train.labels, dtype=np.int64), _TEST_FRACTION, _SEED)
        splits = {**splits, "train": _subset(train, kept), "test": _subset(train, held_out)}
    shuffled = {
        name: _subset(split, np.random.default_rng(_SEED).permutation(len(split.files)))
        for name, split in splits.items()
    }
    return replace(index, splits=shuffled)


def check_class_sizes(index: FolderIndex, unreadable: Collection[str] = ()) -> None:
    """Check that each class of a folder without a test split has at least one image per split.

    Args:
        index: the scanned folder, without the test split that `shuffle_and_split` creates.
        unreadable: files that do not count.

    Raises:
        DataError: a class has too few images.
    """
    needed = ["train", *([] if "validation" in index.splits else ["validation"]), "test"]
    counted = [split for name, split in index.splits.items() if name != "validation"]
    counts = Counter(
        label
        for split in counted
        for file, label in zip(split.files, split.labels, strict=True)
        if file not in unreadable
    )
    for label, name in enumerate(index.class_names):
        if (count := counts[label]) < len(needed):
            images = "1 usable image" if count == 1 else f"{count} usable images"
            raise DataError(
                f"Class {name}: {images}, but {len(needed)} are needed, one each for {', '.join(needed[:-1])} and "
                f"{needed[-1]}. Add images or remove the class."
            )


def _subset(split: SplitFiles, indices: Indices) -> SplitFiles:
    chosen = indices.tolist()
    return SplitFiles(tuple(split.files[index] for index in chosen), tuple(split.labels[index] for index in chosen))
