"""Display a dataset: one image enlarged, and a table of class counts."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from tinysight._util.errors import DataError
from tinysight._util.files import write_bytes
from tinysight.data.dataset import Dataset, Pixels

_SIDE = 320  # pixels; an image is enlarged to at most this side
_GAP = 8  # pixels
_FONT_SIZE = 18


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
    caption = replace_unprintable(f"{dataset.class_names[part.labels[index]]} ({split} {index})")
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


if TYPE_CHECKING:
    from tinysight.data.dataset import Dataset, Pixels

_MAX_SHOWN_CLASSES = 10  # classes with a sample image in the notebook display

FIGURE_HTML = (
    '<figure style="margin:0;width:96px">{image}<figcaption style="font-size:.85em">{text}</figcaption></figure>'
)
ROW_HTML = '<div style="display:flex;flex-wrap:wrap;gap:12px;margin-top:8px">{}</div>'


def to_data_uri(pixels: Pixels) -> str:
    """Return an image, uint8 (3, height, width), as a PNG data URI."""
    content = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def image_html(pixels: Pixels, alt: str) -> str:
    """Return an <img> element of 96 x 96 pixels, enlarged without smoothing; `alt` is its alt text."""
    style = "width:96px;height:96px;object-fit:contain;image-rendering:pixelated"
    return f'<img src="{to_data_uri(pixels)}" alt="{escape(alt)}" style="{style}">'


def dataset_html(dataset: Dataset) -> str:
    """Return the name, sizes and notes of a dataset, with the first image of each of its first ten classes."""
    names, train = dataset.class_names, dataset.train
    counts = ", ".join(f"{len(split):,} {name}" for name, split in dataset.splits.items())
    indices = [int((train.labels == label).argmax()) for label in range(min(len(names), _MAX_SHOWN_CLASSES))]
    figures = [
        FIGURE_HTML.format(image=image_html(train.pixels[index], names[label]), text=escape(names[label]))
        for label, index in enumerate(indices)
    ]
    more = f" and {len(names) - _MAX_SHOWN_CLASSES:,} more classes" if len(names) > _MAX_SHOWN_CLASSES else ""
    height, width = dataset.image_size
    notes = "".join(f"<br><em>{escape(note)}</em>" for note in dataset.notes)
    head = f"<strong>{escape(dataset.name)}</strong>: {counts} images of {height}x{width}, {len(names):,} classes"
    return f"<div>{head}{notes}{ROW_HTML.format(''.join(figures))}{more}</div>"
