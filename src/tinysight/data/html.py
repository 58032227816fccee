"""HTML for images and datasets: data URIs and notebook display."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from tinysight.data.dataset import Dataset, Pixels

_MAX_SHOWN_CLASSES = 10  # classes with a sample image in the notebook display

FIGURE = '<figure style="margin:0;width:96px">{image}<figcaption style="font-size:.85em">{text}</figcaption></figure>'
ROW = '<div style="display:flex;flex-wrap:wrap;gap:12px;margin-top:8px">{}</div>'


def as_url(pixels: Pixels) -> str:
    """Return an image, uint8 (3, height, width), as a PNG data URI."""
    content = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def image_html(pixels: Pixels, text: str) -> str:
    """Return an <img> element of 96 x 96 pixels, enlarged without smoothing; `text` is its alt text."""
    style = "width:96px;height:96px;object-fit:contain;image-rendering:pixelated"
    return f'<img src="{as_url(pixels)}" alt="{escape(text)}" style="{style}">'


def dataset_html(dataset: Dataset) -> str:
    """Return the name, sizes and notes of a dataset, with the first image of each of its first ten classes."""
    names, train = dataset.class_names, dataset.train
    counts = ", ".join(f"{len(split):,} {name}" for name, split in dataset.parts.items())
    indices = [int((train.labels == label).argmax()) for label in range(min(len(names), _MAX_SHOWN_CLASSES))]
    figures = [
        FIGURE.format(image=image_html(train.pixels[index], names[label]), text=escape(names[label]))
        for label, index in enumerate(indices)
    ]
    more = f" and {len(names) - _MAX_SHOWN_CLASSES:,} more classes" if len(names) > _MAX_SHOWN_CLASSES else ""
    height, width = dataset.image_size
    notes = "".join(f"<br><em>{escape(note)}</em>" for note in dataset.remarks)
    head = f"<strong>{escape(dataset.name)}</strong>: {counts} images of {height}x{width}, {len(names):,} classes"
    return f"<div>{head}{notes}{ROW.format(''.join(figures))}{more}</div>"
