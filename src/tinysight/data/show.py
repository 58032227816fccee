"""A dataset to look at: one image enlarged, and the counts of every class."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from tinysight.data.dataset import Dataset, Pixels
from tinysight.errors import DataError
from tinysight.files import write_bytes

# In pixels, all of them. Images are enlarged to about this side.
_SIDE = 320
_GAP = 8
_LETTERS = 18


class ClassCounts(NamedTuple):
    """How many images of one class each split holds."""

    name: str
    train: int
    validation: int
    test: int


def picture(dataset: Dataset, index: int, split: Literal["train", "test"]) -> Image.Image:
    """Return one image, enlarged, with its class, split and index written below.

    Raises:
        DataError: the split has no image of that index.
    """
    part = dataset.train if split == "train" else dataset.test
    if not 0 <= index < len(part):
        valid = f"its {split} images are numbered from 0 to {len(part) - 1}"
        raise DataError(f"The dataset {dataset.name} has no {split} image {index}; {valid}.")
    image = _enlarged(part.pixels[index])
    caption = printable(f"{dataset.class_names[part.labels[index]]} ({split} {index})")
    width = max(image.width, _width(caption)) + 2 * _GAP
    canvas = Image.new("RGB", (width, image.height + _LETTERS + 4 * _GAP), "white")
    canvas.paste(image, ((width - image.width) // 2, _GAP))
    middle = (width / 2, image.height + 2 * _GAP + _LETTERS / 2)
    ImageDraw.Draw(canvas).text(middle, caption, "black", _font(), anchor="mm")
    return canvas


def counts_table(dataset: Dataset) -> list[ClassCounts]:
    """Return the counts class by class, in the order of the labels; 0 where there is no validation split."""
    classes = len(dataset.class_names)
    parts = (dataset.train, dataset.validation, dataset.test)
    counts = [[0] * classes if part is None else part.counts(classes) for part in parts]
    return [ClassCounts(*row) for row in zip(dataset.class_names, *counts, strict=True)]


def printable(text: str) -> str:
    """Return `text` with "?" for what cannot be drawn on one line: class names are often names of folders."""
    return "".join(character if character.isprintable() else "?" for character in text)


def write_picture(image: Image.Image, path: Path) -> None:
    """Write `image` to `path` as PNG, atomically.

    Raises:
        StorageError: it cannot be written.
    """
    content = io.BytesIO()
    image.save(content, "PNG")
    write_bytes(path, content.getvalue())


def _enlarged(pixels: Pixels) -> Image.Image:
    """Return an image (3, height, width) as a picture, enlarged by a whole number to `_SIDE` at most."""
    image = Image.fromarray(pixels.transpose(1, 2, 0))
    factor = max(1, _SIDE // max(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_LETTERS)


def _width(text: str) -> int:
    return round(_font().getlength(text))
