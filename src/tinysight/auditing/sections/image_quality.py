"""Audit section: images without content, and identical images with different labels.

Both are problems of the dataset that the accuracy does not show: a nearly constant image teaches nothing, and if two
identical images have different labels, at least one label is wrong.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysight._util.formatting import percent
from tinysight._util.progress import Progress
from tinysight.auditing.context import AuditContext
from tinysight.auditing.section import AuditSection
from tinysight.data.dataset import Pixels
from tinysight.data.labels import describe_label
from tinysight.data.pixels import iter_chunks
from tinysight.reporting.section import ListedImage, Row, Table

MIN_CONTRAST = 4.0  # gray levels: largest standard deviation within a channel of a nearly constant image
MAX_BLACK = 16  # gray levels: a nearly black image has no larger value, except for 1% of its values
_CHUNK = 1000  # images at a time


@dataclass(frozen=True)
class LabeledImage:
    """The ID of an image and its label."""

    image: str
    label: str


@dataclass(frozen=True)
class ImageQuality:
    """Images without content, and identical images with different labels.

    Attributes:
        n: number of images in all splits.
        constant: IDs of nearly constant images; `black` holds those that are also nearly black.
        black: IDs of nearly black images.
        conflicts: groups of identical images with at least two different labels.
    """

    n: int
    constant: tuple[str, ...]
    black: tuple[str, ...]
    conflicts: tuple[tuple[LabeledImage, ...], ...]


class ImageQualitySection(AuditSection[ImageQuality]):
    """Nearly constant and nearly black images, and identical images with different labels."""

    name = "image_quality"
    heading = "image quality"
    order, cost = 80, 15
    result_type = ImageQuality

    def compute(self, context: AuditContext, progress: Progress) -> ImageQuality:
        """Check the images of all splits."""
        pool, names = context.pool, context.names
        constant, black = find_empty_images(pool.pixels)
        labels = [describe_label(label, context.dataset.class_names) for label in pool.labels]
        groups = [
            tuple(LabeledImage(names[index], labels[index]) for index in group)
            for group in find_identical_images(pool.pixels)
            if len({labels[index] for index in group}) > 1
        ]
        return ImageQuality(
            n=len(names),
            constant=tuple(names[index] for index in np.flatnonzero(constant)),
            black=tuple(names[index] for index in np.flatnonzero(black)),
            conflicts=tuple(groups),
        )

    def summarize(self, result: ImageQuality) -> str:
        """Return the number of images of each kind."""
        empty = len({*result.constant, *result.black})
        return (
            f"{empty:,} of {result.n:,} images ({percent(empty / max(1, result.n))}) are nearly constant or black; "
            f"groups of identical images with different labels: {len(result.conflicts):,}"
        )

    def rows(self, result: ImageQuality, limit: int) -> tuple[Table, ...]:
        """Return groups of identical images with different labels, and images without content."""
        conflicts = tuple(
            Row(images=tuple(ListedImage(copy.image, (f"label {copy.label}",)) for copy in group))
            for group in result.conflicts
        )
        black = frozenset(result.black)
        empty = tuple(
            Row(images=(ListedImage(image, ("nearly black" if image in black else "nearly constant",)),))
            for image in dict.fromkeys((*result.black, *result.constant))
        )
        tables = (
            Table((), conflicts[:limit], len(conflicts), "groups", heading="identical images with different labels"),
            Table((), empty[:limit], len(empty), "images", heading="nearly constant or black images"),
        )
        return tuple(table for table in tables if table.n_total)


def find_empty_images(pixels: Pixels) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which of uint8 images (n, 3, height, width) are nearly constant, and which nearly black, bool (n,)."""
    constant, black = [np.zeros(0, dtype=bool)], [np.zeros(0, dtype=bool)]
    for chunk in iter_chunks(pixels, _CHUNK):
        constant.append(chunk.std((2, 3)).max(1) < MIN_CONTRAST)
        black.append((chunk > MAX_BLACK).mean((1, 2, 3)) < 0.01)
    return np.concatenate(constant), np.concatenate(black)


def find_identical_images(pixels: Pixels) -> list[list[int]]:
    """Return groups of indices of identical images, each in ascending order; images without a copy are left out."""
    groups = defaultdict(list)
    for index, image in enumerate(pixels):
        groups[hashlib.sha256(image.tobytes()).digest()].append(index)
    return [group for group in groups.values() if len(group) > 1]
