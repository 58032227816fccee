"""What every source of images is turned into: pixels, labels, class names, and where they came from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tinysight.data.looks import WHOLE, Looks
from tinysight.data.pixels import Pixels as Pixels
from tinysight.data.pixels import portions

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """The images of one split.

    Attributes:
        pixels: uint8, (n, 3, height, width), RGB, 0..255.
        labels: int64, (n,), each an index into the dataset's class names.
        files: where each image came from, if it was a file of its own; else empty.
    """

    pixels: Pixels
    labels: Labels
    files: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def counts(self, classes: int) -> list[int]:
        """Return how many images each of the `classes` has."""
        return [int(count) for count in np.bincount(self.labels, minlength=classes)]


@dataclass(frozen=True)
class Dataset:
    """Images, labels, class names, and what is known of their origin.

    Attributes:
        name: "cifar10", "shapes", or the folder's name.
        train: what may be learned from (a validation split is cut from it unless there is one).
        test: what is read once, at the end.
        class_names: one name a class, in the order of the labels.
        source: where the images came from, in words, for people.
        validation: the images a folder sets aside itself (`DIR/val`), or None.
        published: True if the bytes were checked against published checksums, False if they differ from
            them, None if there is nothing to check against.
        remarks: what a reader must know before trusting figures from this data; empty if nothing.
        looks: what of a photograph its classifiers should look at.
    """

    name: str
    train: Part
    test: Part
    class_names: tuple[str, ...]
    source: str
    validation: Part | None = None
    published: bool | None = None
    remarks: tuple[str, ...] = ()
    looks: Looks = WHOLE

    @property
    def parts(self) -> dict[str, Part]:
        """The splits there are, by name; training images first, test images last."""
        every = {"train": self.train, "validation": self.validation, "test": self.test}
        return {split: part for split, part in every.items() if part is not None}

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images, in pixels."""
        height, width = self.train.pixels.shape[2:]
        return int(height), int(width)

    def without_test(self) -> Dataset:
        """Return the same with no test images in it, for work that must not choose anything by them."""
        height, width = self.image_size
        empty = Part(np.empty((0, 3, height, width), dtype=np.uint8), np.empty(0, dtype=np.int64))
        return replace(self, test=empty)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from tinysight.data.html import dataset_html

        return dataset_html(self)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over class names, pixels and labels of every split: the same images, the same name."""
        digest = hashlib.sha256("\0".join(self.class_names).encode())
        for part in (self.train, self.validation, self.test):
            digest.update(b"none" if part is None else repr(part.pixels.shape).encode())
            if part is not None:
                for portion in portions(part.pixels):
                    digest.update(np.ascontiguousarray(portion).data)
                digest.update(np.ascontiguousarray(part.labels, dtype="<i8").data)
        return digest.hexdigest()
