"""Display a dataset: one image enlarged, a contact sheet, and a table of class counts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tinysight._util.errors import DataError
from tinysight._util.files import write_bytes
from tinysight.data.dataset import Dataset, Pixels
from tinysight.data.labels import describe_label, has_label
from tinysight.data.pixels import take

_SIDE = 320  # pixels; an image is enlarged to at most this side
_GAP = 8  # pixels
_FONT_SIZE = 18
_SHEET_SIDE = 64  # pixels; images of a contact sheet are enlarged or reduced to this side
MAX_SHEET_CLASSES = 100  # rows of a contact sheet


class ClassCounts(NamedTuple):
    """Number of images of one class in each split."""

    name: str
    train: int
    validation: int
    test: int


def captioned_image(dataset: Dataset, index: int, split: Literal["train", "test"]) -> Image.Image:
    """Return one image, enlarged, with a caption of its class, split and index.

    Raises:
        DataError: the split has no image of that index.
    """
    part = dataset.train if split == "train" else dataset.test
    if not 0 <= index < len(part):
        raise DataError(f"{dataset.name}: no {split} image {index}. Choose an index from 0 to {len(part) - 1}.")
    image = _enlarged(part.pixels[index])
    caption = replace_unprintable(f"{describe_label(part.labels[index], dataset.class_names)} ({split} {index})")
    width = max(image.width, round(_font().getlength(caption))) + 2 * _GAP
    canvas = Image.new("RGB", (width, image.height + _FONT_SIZE + 4 * _GAP), "white")
    canvas.paste(image, ((width - image.width) // 2, _GAP))
    middle = (width / 2, image.height + 2 * _GAP + _FONT_SIZE / 2)
    ImageDraw.Draw(canvas).text(middle, caption, "black", _font(), anchor="mm")
    return canvas


def counts_table(dataset: Dataset) -> list[ClassCounts]:
    """Return one row per class, in the order of the labels; counts are 0 without a validation split."""
    classes = len(dataset.class_names)
    splits = (dataset.train, dataset.validation, dataset.test)
    counts = [[0] * classes if split is None else split.class_counts(classes) for split in splits]
    return [ClassCounts(*row) for row in zip(dataset.class_names, *counts, strict=True)]


def contact_sheet(dataset: Dataset, columns: int = 10) -> Image.Image:
    """Return a sheet with one row of training images for each of the first 100 classes, under its name and count.

    Args:
        dataset: the dataset.
        columns: the most images in a row; they are evenly spaced among those of the class.
    """
    counts = dataset.train.class_counts(len(dataset.class_names))[:MAX_SHEET_CLASSES]
    row_height = _SHEET_SIDE + _FONT_SIZE + 2 * _GAP
    size = (columns * (_SHEET_SIDE + _GAP) + _GAP, len(counts) * row_height + _GAP)
    sheet = Image.new("RGB", size, "white")
    for label, count in enumerate(counts):
        top = _GAP + label * row_height
        caption = replace_unprintable(f"{dataset.class_names[label]} ({count:,})")
        ImageDraw.Draw(sheet).text((_GAP, top), caption, "black", _font())
        members = np.flatnonzero(has_label(dataset.train.labels, label))
        chosen = members[np.linspace(0, count - 1, min(columns, count)).round().astype(int)] if count else members
        for column, pixels in enumerate(take(dataset.train.pixels, chosen)):
            image = Image.fromarray(pixels.transpose(1, 2, 0)).resize((_SHEET_SIDE, _SHEET_SIDE))
            sheet.paste(image, (_GAP + column * (_SHEET_SIDE + _GAP), top + _FONT_SIZE + _GAP // 2))
    return sheet


def replace_unprintable(text: str) -> str:
    """Return `text` with "?" for unprintable characters and line breaks, which class names may contain."""
    return "".join(character if character.isprintable() else "?" for character in text)


def save_png(image: Image.Image, path: Path) -> None:
    """Write `image` to `path` as PNG, atomically.

    Raises:
        StorageError: it cannot be written.
    """
    content = io.BytesIO()
    image.save(content, "PNG")
    write_bytes(path, content.getvalue())


def _enlarged(pixels: Pixels) -> Image.Image:
    """Return pixels (3, height, width) as a Pillow image, enlarged by an integer factor up to `_SIDE`."""
    image = Image.fromarray(pixels.transpose(1, 2, 0))
    factor = max(1, _SIDE // max(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_SIZE)
