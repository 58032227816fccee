"""Dataset and split: pixels, labels, class names and provenance."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from tinysight.data.crops import CENTER_CROP, Crops
from tinysight.data.labels import Labels as Labels
from tinysight.data.labels import Task, count_labels, has_label, task_of
from tinysight.data.pixels import Pixels as Pixels
from tinysight.data.pixels import iter_chunks
from tinysight.data.source_report import NO_REPORT, SourceReport

LabelType = Literal["str", "int", "float", "bool"]

_MAX_SHOWN_CLASSES = 10  # classes with a sample image in the notebook display

IN_MEMORY = ":memory:"
"""The argument of a dataset whose images exist only in memory, so that it cannot be loaded again."""

NO_IMAGES = ":none:"
"""The argument of the dataset of a run that was imported without images."""

NOT_STATED = "Not stated. The publisher of this model should fill this in."


NoteKind = Literal["test split"]


class Note(str):
    """A caveat about a dataset, with a kind by which a later step can replace it.

    Attributes:
        kind: "test split" for a note on how the test images were chosen.
    """

    __slots__ = ("kind",)
    kind: NoteKind

    def __new__(cls, text: str, kind: NoteKind) -> Self:
        """Return a note of this text and kind."""
        note = super().__new__(cls, text)
        note.kind = kind
        return note

    def __getnewargs__(self) -> tuple[str, NoteKind]:  # type: ignore[override]
        """Return the arguments that copies and pickles are made with."""
        return str(self), self.kind


@dataclass(frozen=True)
class Provenance:
    """Source of the images, consent of photographers and people shown, and license."""

    source: str = NOT_STATED
    consent: str = NOT_STATED
    license: str = NOT_STATED


@dataclass(frozen=True)
class Split:
    """The images and labels of one split.

    Attributes:
        pixels: uint8, (n, 3, height, width), RGB, 0..255.
        labels: int64, (n,), indices into the dataset's class names; or (n, classes), 1 for each label of an image and 0
            elsewhere, if images may have several labels.
        files: the file of each image, or empty if the images did not come from single files.
        groups: the group of each image (a patient, a scene, a burst), or empty. Groups are never split between
            training, validation and test.
        weights: float32, (n,), the weight of each image in the training loss, 1 on average; or None for equal weights.
        times: the time of each image, as the table states it, or empty. `data.split` "time" needs it.
    """

    pixels: Pixels
    labels: Labels
    files: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    weights: NDArray[np.float32] | None = None
    times: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        _, _, height, width = self.pixels.shape
        return f"Split({len(self):,} images of {height}x{width})"

    def class_counts(self, num_classes: int) -> list[int]:
        """Return the number of images of each of the `num_classes` classes."""
        return count_labels(self.labels, num_classes)


@dataclass(frozen=True)
class Dataset:
    """Labeled images in a training and a test split, with class names and provenance.

    Attributes:
        name: "cifar10", "shapes", or the name of the folder or file.
        train: the training split. Validation images are split off from it if `validation` is None.
        test: the test split, used only for the final evaluation.
        class_names: one name per class, in the order of the labels.
        source: a description of where the images came from.
        validation: the validation split of a folder (`DIR/val`), or None.
        is_official: True if the checksums match the official ones, False if they differ, None if there is
            nothing to compare with.
        notes: caveats for results on this dataset; empty if there are none.
        crops: the crops that classifiers trained on this dataset take from larger images.
        provenance: source, consent and license of the images, as far as the kind of source implies them.
        argument: what `load_dataset` takes to load the same images again, or `IN_MEMORY`.
        label_type: type of the labels that the class names stand for.
        has_drawn_test: whether the test images were drawn at random, because there was no test split.
        folder: the folder that the splits' files are relative to, or None.
        report: which files the source used and skipped, and which images and classes are suspicious.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    source: str
    validation: Split | None = None
    is_official: bool | None = None
    notes: tuple[str, ...] = ()
    crops: Crops = CENTER_CROP
    provenance: Provenance = Provenance()
    argument: str = IN_MEMORY
    label_type: LabelType = "str"
    has_drawn_test: bool = False
    folder: Path | None = None
    report: SourceReport = NO_REPORT

    def __repr__(self) -> str:
        height, width = self.image_size
        counts = ", ".join(f"{len(split):,} {name}" for name, split in self.splits.items())
        return f"Dataset({self.name!r}, {counts} images of {height}x{width}, {len(self.class_names)} classes)"

    @property
    def splits(self) -> dict[str, Split]:
        """The splits by name, in the order train, validation (if present), test."""
        candidates = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in candidates.items() if split is not None}

    @property
    def task(self) -> Task:
        """Whether each image has one label ("multi-class"), or any number of labels ("multi-label")."""
        return task_of(self.train.labels)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images, in pixels."""
        height, width = self.train.pixels.shape[2:]
        return int(height), int(width)

    def notes_without(self, kind: NoteKind) -> tuple[str, ...]:
        """Return the notes that are not of a kind."""
        return tuple(note for note in self.notes if getattr(note, "kind", None) != kind)

    def with_splits(self, splits: Mapping[str, Split]) -> Dataset:
        """Return this dataset with the splits "train", "validation" (if it is to have one) and "test"."""
        return replace(self, train=splits["train"], validation=splits.get("validation"), test=splits["test"])

    def without_test(self) -> Dataset:
        """Return this dataset with an empty test split, so that model selection cannot use it."""
        height, width = self.image_size
        empty = Split(np.empty((0, 3, height, width), dtype=np.uint8), self.train.labels[:0])
        return replace(self, test=empty)

    def _repr_html_(self) -> str:
        """Return the name, sizes and notes, and an image of each of the first ten classes, for notebooks."""
        from tinysight.data.image_html import FIGURE_HTML, ROW_HTML, image_html

        names, train = self.class_names, self.train
        counts = ", ".join(f"{len(split):,} {name}" for name, split in self.splits.items())
        indices = [int(has_label(train.labels, label).argmax()) for label in range(min(len(names), _MAX_SHOWN_CLASSES))]
        figures = [
            FIGURE_HTML.format(image=image_html(train.pixels[index], names[label]), text=escape(names[label]))
            for label, index in enumerate(indices)
        ]
        hidden = max(0, len(names) - _MAX_SHOWN_CLASSES)
        more = f" and {hidden:,} more {'class' if hidden == 1 else 'classes'}" if hidden else ""
        height, width = self.image_size
        notes = "".join(f"<br><em>{escape(note)}</em>" for note in self.notes)
        head = f"<strong>{escape(self.name)}</strong>: {counts} images of {height}x{width}, {len(names):,} classes"
        return f"<div>{head}{notes}{ROW_HTML.format(''.join(figures))}{more}</div>"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the class names and of the pixels, labels and groups of every split."""
        digest = hashlib.sha256("\0".join(self.class_names).encode())
        for split in (self.train, self.validation, self.test):
            digest.update(b"none" if split is None else repr(split.pixels.shape).encode())
            if split is not None:
                for chunk in iter_chunks(split.pixels):
                    digest.update(np.ascontiguousarray(chunk).data)
                digest.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
                if split.groups:  # they decide which images are validated on
                    digest.update("\0".join(split.groups).encode())
        return digest.hexdigest()
