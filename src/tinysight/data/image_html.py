"""Images as HTML for notebooks and reports."""

from __future__ import annotations

import base64
import io
from html import escape

from PIL import Image

from tinysight.data.pixels import Pixels

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
