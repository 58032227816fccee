"""Images and datasets within a page: as URLs that hold them, and as what a notebook shows."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from tinysight.data.dataset import Dataset, Pixels

_SHOWN = 10  # classes of which a notebook shows an image

FIGURE = '<figure style="margin:0;width:96px">{image}<figcaption style="font-size:.85em">{text}</figcaption></figure>'
ROW = '<div style="display:flex;flex-wrap:wrap;gap:12px;margin-top:8px">{}</div>'


def as_url(pixels: Pixels) -> str:
    """Return an image, (3, height, width), as a URL that holds it."""
    content = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def image_html(pixels: Pixels, text: str) -> str:
    """Return an image, enlarged without smoothing; `text` is for those who do not see it."""
    style = "width:96px;height:96px;object-fit:contain;image-rendering:pixelated"
    return f'<img src="{as_url(pixels)}" alt="{escape(text)}" style="{style}">'


def dataset_html(dataset: Dataset) -> str:
    """Return what a dataset is, with the first image of its first classes."""
    names, train = dataset.class_names, dataset.train
    counts = ", ".join(f"{len(part):,} {split}" for split, part in dataset.parts.items())
    first = [int((train.labels == label).argmax()) for label in range(min(len(names), _SHOWN))]
    figures = [
        FIGURE.format(image=image_html(train.pixels[index], names[label]), text=escape(names[label]))
        for label, index in enumerate(first)
    ]
    more = f" and {len(names) - _SHOWN:,} more classes" if len(names) > _SHOWN else ""
    height, width = dataset.image_size
    remarks = "".join(f"<br><em>{escape(remark)}</em>" for remark in dataset.remarks)
    head = f"<strong>{escape(dataset.name)}</strong>: {counts} images of {height}x{width}, {len(names):,} classes"
    return f"<div>{head}{remarks}{ROW.format(''.join(figures))}{more}</div>"
