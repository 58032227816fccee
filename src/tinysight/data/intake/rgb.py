"""Convert a decoded Pillow image of any mode to upright RGB."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from PIL import ExifTags, Image

# The transform that undoes each orientation: EXIF 2.32, table 4.6.4 (A), tag 0x0112.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image) -> Image.Image:
    """Return `image` rotated or flipped by its EXIF orientation; unchanged if it has no readable orientation.

    Unlike `ImageOps.exif_transpose`, this does not rewrite the other EXIF tags, which fails if one is damaged.
    """
    image.load()  # PNG may store EXIF after the pixels
    orientation = None
    # Collected photographs often have damaged metadata and intact pixels.
    with suppress(Exception):
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    method = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def opaque_rgb(image: Image.Image) -> Image.Image:
    """Return `image` in mode RGB, with 16 bits reduced to 8 and transparency composited on white.

    White, because cut-outs, logos and drawings are made for white pages, and dark lines would vanish on black.
    Color profiles are ignored: values are taken as sRGB.
    """
    if image.mode.startswith("I;16"):
        image = _from_16_bit(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    page = Image.new("RGBA", image.size, "white")
    page.alpha_composite(image.convert("RGBA"))
    return page.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    # Pillow's own conversion clips: everything from 256 on would be white.
    values = np.array(image, dtype=np.uint16)
    values[values == image.info.get("transparency", 0xFFFF)] = 0xFFFF  # PNG's transparent gray becomes white
    return Image.fromarray((values >> 8).astype(np.uint8))
