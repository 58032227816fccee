"""Predictions as files: a CSV table, and copies of the images in one folder per class."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tinysight._util.errors import InputError
from tinysight._util.files import atomic_writer, storage_errors
from tinysight.data.labels import SEPARATOR, Task
from tinysight.evaluation.predict import ClassProbability, Prediction, UnreadableImage

UNSURE_FOLDER = "unsure"
_NOT_IN_FILE_NAMES = r'[\\/:*?"<>|\x00-\x1f]'


def write_csv(
    results: Iterable[Prediction | UnreadableImage], path: Path, top: int, task: Task = "multi-class"
) -> None:
    """Write one row per image to a CSV file, which replaces an earlier file as a whole.

    The columns are `input`, `unlike_training` (empty if it is not known), `unsure`, `prediction_set` (its classes,
    separated as the labels in a table of images), `class` and `probability`, then `class_2`, `probability_2` and so on
    up to `top`, and `error`, which says why an image cannot be read. If images may have several labels, `labels` takes
    the place of `unsure` and `prediction_set`: the labels that the image gets.

    Raises:
        StorageError: the file cannot be written.
    """
    suffixes = ["", *(f"_{rank}" for rank in range(2, top + 1))]
    columns = [f"{name}{suffix}" for suffix in suffixes for name in ("class", "probability")]
    with atomic_writer(path) as binary:
        file = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        decision = ["labels"] if task == "multi-label" else ["unsure", "prediction_set"]
        writer = csv.DictWriter(file, ["input", "unlike_training", *decision, *columns, "error"], restval="")
        writer.writeheader()
        writer.writerows(_row(result, suffixes) for result in results)
        file.detach()  # flushes; atomic_writer still needs the binary file


def _row(result: Prediction | UnreadableImage, suffixes: Sequence[str]) -> dict[str, object]:
    if isinstance(result, UnreadableImage):
        return {"input": result.input, "error": result.error}
    unlike = result["unlike_training"]
    row: dict[str, object] = {"input": result["input"], "unlike_training": "" if unlike is None else _flag(unlike)}
    if "labels" in result:
        row["labels"] = SEPARATOR.join(choice["class"] for choice in result["labels"])
    else:
        row["unsure"] = _flag(result["unsure"])
        row["prediction_set"] = SEPARATOR.join(result["prediction_set"] or [])
    for suffix, choice in zip(suffixes, result["top"], strict=False):  # there may be fewer classes than `top`
        row |= {f"class{suffix}": choice["class"], f"probability{suffix}": f"{choice['probability']:.6f}"}
    return row


def _flag(value: bool) -> str:
    return str(value).lower()


class ImageSorter:
    """Copies predicted images into `folder/CLASS`, and those that the classifier is unsure of into `folder/unsure`.

    Two images of the same name get different names: `cat.jpg` and `cat-2.jpg`.

    Raises:
        InputError: `folder` exists and is not empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with storage_errors(folder):
            if folder.exists() and any(folder.iterdir()):
                raise InputError(f"{folder}: is not empty. Choose a new folder.")

    def copy(self, results: Iterable[Prediction | UnreadableImage]) -> Iterator[Prediction | UnreadableImage]:
        """Copy each image before its prediction is yielded. Unreadable images are not copied.

        Raises:
            StorageError: an image cannot be copied.
        """
        for result in results:
            if not isinstance(result, UnreadableImage):
                name = UNSURE_FOLDER if result["unsure"] else _folder_name(result["top"][0])
                self._copy(Path(result["input"]), self.folder / name)
            yield result

    def _copy(self, image: Path, folder: Path) -> None:
        target, number = folder / image.name, 1
        while target.exists():
            number += 1
            target = folder / f"{image.stem}-{number}{image.suffix}"
        with atomic_writer(target) as copy, image.open("rb") as original:
            shutil.copyfileobj(original, copy)


def _folder_name(choice: ClassProbability) -> str:
    """Return the class name, or if no folder can have that name, a similar one with the index of the class."""
    name = choice["class"]
    valid = re.sub(_NOT_IN_FILE_NAMES, "_", name).strip(". ")
    return name if name == valid and name != UNSURE_FOLDER else f"{valid}-{choice['index']}"
