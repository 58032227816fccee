"""The images of a run in a dataset that grew, shrank or was reordered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Dataset, Split
from tinysight.data.labels import Labels, label_names
from tinysight.data.pixels import take
from tinysight.data.source_report import SHORT_NAMES, one_line, truncated
from tinysight.data.splits import Indices
from tinysight.runs.image_index import Checksums, ImageIndex, Use, image_checksums, pool_ids


@dataclass(frozen=True)
class ImageMatch:
    """A dataset, compared image by image with the images of a run.

    Attributes:
        index: the images of the run.
        dataset: the dataset. All of its images, one split after the other, are the pool.
        checksums: checksum of each image of the pool, int64.
        rows: position in the pool of each image of the run, -1 if it is missing, int64 (n,).
        extra: positions in the pool of all other images, int64. Some may be copies of images of the run.
        is_copy: whether each of `extra` is a copy of an image of the run, bool.
        relabeled: positions in the index of images that have another label in the dataset, int64.
    """

    index: ImageIndex
    dataset: Dataset
    checksums: Checksums
    rows: Indices
    extra: Indices
    is_copy: NDArray[np.bool_]
    relabeled: Indices

    @classmethod
    def find(cls, index: ImageIndex, dataset: Dataset) -> ImageMatch:
        """Compare a dataset with the images of a run. Equal images are paired by label first, then in order."""
        parts = list(dataset.splits.values())
        checksums, labels = image_checksums(parts), np.concatenate([part.labels for part in parts])
        by_label = _pair(
            _with_labels(index.checksums, index.labels, index.class_names),
            _with_labels(checksums, labels, dataset.class_names),
        )
        open_rows = np.flatnonzero(by_label < 0)
        free = np.setdiff1d(np.arange(len(checksums)), by_label)
        paired = _pair(index.checksums[open_rows].tolist(), checksums[free].tolist())
        relabeled, rows = open_rows[paired >= 0], by_label
        rows[relabeled] = free[paired[paired >= 0]]
        extra = np.setdiff1d(np.arange(len(checksums)), rows)
        is_copy = np.isin(checksums[extra], index.checksums)
        return cls(index, dataset, checksums, rows, extra, is_copy, relabeled)

    @property
    def is_own(self) -> bool:
        """Whether the dataset is that of the run, more or less: half of the run's images, or of its own, are equal."""
        n_known = int(np.count_nonzero(self.rows >= 0))
        n_equal = n_known - len(self.relabeled)
        return n_equal > 0 and 2 * n_equal >= min(len(self.index), n_known + len(self.extra))

    @property
    def is_complete(self) -> bool:
        """Whether no image of the run is missing."""
        return bool((self.rows >= 0).all())

    @property
    def new(self) -> Indices:
        """Positions in the pool of the images that are none of the run's."""
        return self.extra[~self.is_copy]

    @property
    def missing(self) -> Indices:
        """Positions in the index of the images that the dataset lacks."""
        return np.flatnonzero(self.rows < 0)

    def differences(self) -> str:
        """Return what differs: "3 new images (a.png, b.png, c.png), 1 missing (d.png)"; "" if nothing does."""
        pool, own = pool_ids(self.dataset), self.index.names
        counted = (
            ("new", [pool[row] for row in self.new]),
            ("missing", [own[row] for row in self.missing]),
            ("with another label", [own[row] for row in self.relabeled]),
            ("more copies", [pool[row] for row in self.extra[self.is_copy]]),
        )
        found = [(kind, names) for kind, names in counted if names]
        texts = [
            f"{len(names):,} {kind} ({truncated([one_line(name) for name in names], ', ', SHORT_NAMES)})"
            for kind, names in found
        ]
        return f"images differ: {', '.join(texts)}" if texts else ""

    def dataset_of_run(self) -> Dataset:
        """Return the images of the run that the dataset has, with the splits, labels, order and names of the run.

        If none is missing, it is the dataset that the run was trained on. If some are, its validation images are a
        split of their own, and images that the run left out of training are left out. If files were renamed, the folder
        is unknown: names are those that the run knows.
        """
        if self.is_complete:
            ends = np.cumsum(list(self.index.sizes.values()))
            ranges = dict(zip(self.index.sizes, np.split(np.arange(len(self.index)), ends[:-1]), strict=True))
        else:
            uses: tuple[Use, ...] = ("train", "validation", "test")
            ranges = {use: np.flatnonzero(self.index.used_for(use) & (self.rows >= 0)) for use in uses}
        splits = {name: self._split(positions) for name, positions in ranges.items()}
        known, pool, own = np.flatnonzero(self.rows >= 0), pool_ids(self.dataset), self.index.names
        is_renamed = any(pool[self.rows[position]] != own[position] for position in known)
        return replace(
            self.dataset.with_splits(splits),
            class_names=self.index.class_names,
            has_drawn_test=False,
            folder=None if is_renamed else self.dataset.folder,
        )

    def new_images(self) -> Split:
        """Return the new images, with the labels of `dataset`."""
        return _take(self.dataset, self.new)

    def without_trained(self) -> tuple[Dataset, int]:
        """Return the dataset without copies of images that the run trained or validated on, and their number."""
        used = self.index.checksums[~self.index.used_for("test")]
        is_kept = ~np.isin(self.checksums, used)
        splits, start = {}, 0
        for name, part in self.dataset.splits.items():
            splits[name] = _take(self.dataset, start + np.flatnonzero(is_kept[start : start + len(part)]))
            start += len(part)
        n_removed = int(np.count_nonzero(~is_kept))
        return (self.dataset.with_splits(splits) if n_removed else self.dataset), n_removed

    def _split(self, positions: Indices) -> Split:
        """Return the images at positions of the index."""
        index, names = self.index, self.index.names
        part = _take(self.dataset, self.rows[positions])
        has_names = bool(index.files) or not self.is_complete
        groups = tuple(index.groups[position] for position in positions) if index.groups else ()
        return replace(
            part,
            labels=index.labels[positions],
            files=tuple(names[position] for position in positions) if has_names else (),
            groups=groups if any(groups) else (),
        )


def _with_labels(checksums: Checksums, labels: Labels, class_names: Sequence[str]) -> list[Hashable]:
    """Return, for each image, a key that is equal for images of equal content with labels of equal names."""
    pairs = zip(checksums.tolist(), labels, strict=True)
    return [(key, frozenset(label_names(label, class_names))) for key, label in pairs]


def _pair(keys: Sequence[Hashable], others: Sequence[Hashable]) -> Indices:
    """Return, for each key, the position of an equal one among `others`, each taken once and in order; or -1."""
    waiting: dict[Hashable, list[int]] = defaultdict(list)
    for position in range(len(others) - 1, -1, -1):
        waiting[others[position]].append(position)
    return np.array([waiting[key].pop() if waiting.get(key) else -1 for key in keys], dtype=np.int64)


def _take(dataset: Dataset, rows: Indices) -> Split:
    """Return the images at positions of the pool of a dataset, in this order."""
    parts = list(dataset.splits.values())
    pixels = np.empty((len(rows), *dataset.train.pixels.shape[1:]), np.uint8)
    labels = np.concatenate([part.labels for part in parts])[rows]
    start = 0
    for part in parts:
        inside = np.flatnonzero((rows >= start) & (rows < start + len(part)))
        pixels[inside] = take(part.pixels, rows[inside] - start)
        start += len(part)
    names = pool_ids(dataset) if any(part.files for part in parts) else ()
    weights = None
    if all(part.weights is not None for part in parts):
        weights = np.concatenate([part.weights for part in parts if part.weights is not None])[rows]
    return Split(pixels, labels, tuple(names[row] for row in rows) if names else (), weights=weights)
