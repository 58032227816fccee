"""The images of a run as a table that can be edited, and that the run of the edited table keeps as dataset.csv."""

from __future__ import annotations

import csv
import io
import os.path
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tinysight._util.errors import DataError
from tinysight.data.dataset import Dataset, Pixels, Split
from tinysight.data.image_ids import image_ids
from tinysight.data.labels import SEPARATOR, Task, label_names
from tinysight.data.pixels import take
from tinysight.data.source_report import one_line
from tinysight.data.sources.table import Table, parse_csv
from tinysight.data.splits import TrainSplit, read_excluded
from tinysight.recipes.schema import Recipe
from tinysight.runs.image_index import pixel_checksums
from tinysight.runs.run import IMAGE_DIR, Run
from tinysight.runs.run_dataset import split_of_run

TableSplit = Literal["train", "validation", "test"]
SPLITS: tuple[TableSplit, ...] = get_args(TableSplit)


@dataclass(frozen=True)
class TableImage:
    """One image of a run.

    Attributes:
        id: its ID in the run; of a new image, its file.
        file: its absolute path; or a path in the new run, which keeps the pixels if the user has no file.
        labels: names of its class, or of all its labels.
        split: the split that it is in.
        group: the group that stays in one split, or "".
        checksum: checksum of its pixels; see `pixel_checksums`.
        position: the array of pixels that it is in, and the row there.
    """

    id: str
    file: str
    labels: frozenset[str]
    split: TableSplit
    group: str
    checksum: int
    position: tuple[int, int]

    @property
    def has_file(self) -> bool:
        """Whether the image is in a file of the user, not in the new run."""
        return os.path.isabs(self.file)


@dataclass(frozen=True)
class ImageTable:
    """The images of a run, without those that its recipe excludes because they were forgotten.

    Attributes:
        task: whether images may have several labels.
        images: the images, in any order.
        pixels: arrays of pixels, uint8 (n, 3, height, width), that the images are in.
        forgotten: checksums of the images that the recipe of the run excludes.
    """

    task: Task
    images: tuple[TableImage, ...]
    pixels: tuple[Pixels, ...]
    forgotten: frozenset[int] = frozenset()

    @classmethod
    def of_run(cls, run: Run, dataset: Dataset) -> ImageTable:
        """Return the table of a run and its complete dataset, as `open_complete_dataset` returns it."""
        excluded = _excluded(run.recipe(), dataset)
        validation = _validation_ids(dataset, split_of_run(run, dataset))
        has_groups = any(part.groups for part in dataset.splits.values())
        images = list[TableImage]()
        for number, (name, part) in enumerate(dataset.splits.items()):
            checksums = pixel_checksums(part.pixels).tolist()
            ids = image_ids(part, name)
            for row, (id_, file) in enumerate(zip(ids, _files(run, dataset, part, ids), strict=True)):
                group = (part.groups[row] if part.groups else f"{name}/{row}") if has_groups else ""
                split = cast(TableSplit, "validation" if name != "test" and id_ in validation else name)
                labels = frozenset(label_names(part.labels[row], dataset.class_names))
                images.append(TableImage(id_, file, labels, split, group, checksums[row], (number, row)))
        forgotten = frozenset(image.checksum for image in images if image.id in excluded)
        kept = tuple(image for image in images if image.id not in excluded)
        return cls(dataset.task, kept, tuple(part.pixels for part in dataset.splits.values()), forgotten)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The names of all labels, in alphabetical order."""
        return tuple(sorted(frozenset().union(*(image.labels for image in self.images))))

    @cached_property
    def has_groups(self) -> bool:
        """Whether images of one group stay in one split."""
        return any(image.group for image in self.images)

    def with_images(self, images: Sequence[TableImage], pixels: Pixels | None = None) -> ImageTable:
        """Return the table with these images instead, of which some may be in another array of pixels."""
        return replace(self, images=tuple(images), pixels=self.pixels if pixels is None else (*self.pixels, pixels))

    def read_pixels(self, files: Sequence[str]) -> Pixels:
        """Return the pixels of images by their files, uint8 (n, 3, height, width)."""
        position_of = {image.file: image.position for image in self.images}
        positions: NDArray[np.int64] = np.array([position_of[file] for file in files], dtype=np.int64).reshape(-1, 2)
        result = np.empty((len(files), *self.pixels[0].shape[1:]), np.uint8)
        for number, pixels in enumerate(self.pixels):
            inside = np.flatnonzero(positions[:, 0] == number)
            result[inside] = take(pixels, positions[inside, 1])
        return result

    @cached_property
    def csv(self) -> str:
        """The content of dataset.csv."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        label = "label" if self.task == "multi-class" else "labels"
        writer.writerow(["image", label, "split", *(["group"] if self.has_groups else [])])
        for image in self.images:
            labels = SEPARATOR.join(sorted(image.labels))
            writer.writerow([image.file, labels, image.split, *([image.group] if self.has_groups else [])])
        return text.getvalue()

    def to_table(self, path: Path) -> Table:
        """Return what a table at `path` with the content `csv` is read as.

        Raises:
            DataError: a name of an image, class or group cannot be written into a table.
        """
        table = parse_csv(io.StringIO(self.csv, newline=""), path)
        for row, image in zip(table.rows, self.images, strict=True):
            if (row.image, row.names, row.group) != (image.file, image.labels, image.group):
                raise DataError(
                    f"{one_line(image.id)}: its name, label or group begins or ends with a space, or contains "
                    f"{SEPARATOR!r}. Rename it, and train again."
                )
        return table

    def own_files(self) -> dict[str, bytes]:
        """Return the PNG files, by path in the new run, of the images that are in no file of the user."""
        own = [image.file for image in self.images if not image.has_file]
        return {file: _to_png(self.read_pixels([file])[0]) for file in own}


def recipe_for_table(recipe: Recipe) -> Recipe:
    """Return a recipe for the table of a run: the table has the splits and groups that the recipe asked for."""
    data = recipe.data.model_copy(update={"group": None, "exclude_file": None, "split": "stratified"})
    return recipe.model_copy(update={"data": data})


def _excluded(recipe: Recipe, dataset: Dataset) -> frozenset[str]:
    path = recipe.data.exclude_file
    return read_excluded(Path(path), dataset) if path else frozenset()


def _validation_ids(dataset: Dataset, split: TrainSplit) -> frozenset[str]:
    """Return the IDs of the validation images."""
    name = "train" if dataset.validation is None else "validation"
    ids = image_ids(dataset.splits[name], name)
    return frozenset(ids[row] for row in (() if split.validation_indices is None else split.validation_indices))


def _files(run: Run, dataset: Dataset, part: Split, ids: Sequence[str]) -> list[str]:
    """Return the absolute paths of images that are in files of the user; else their paths in the new run.

    Members of a zip file are in the cache, which may be deleted.
    """
    folder = dataset.folder
    if folder is None or not part.files or run.environment().dataset.argument.lower().endswith(".zip"):
        return [f"{IMAGE_DIR}/{id_}.png" for id_ in ids]
    is_in_run = folder == run.path.resolve()
    return [id_ if is_in_run and id_.startswith(f"{IMAGE_DIR}/") else (folder / id_).as_posix() for id_ in ids]


def _to_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return an image (3, height, width) as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(file, "PNG")
    return file.getvalue()
