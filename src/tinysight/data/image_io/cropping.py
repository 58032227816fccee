"""Crop and resize a decoded Pillow image."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from PIL import ExifTags, Image, ImageOps

from tinysight.data.crops import CENTER_CROP, Crop, Crops
from tinysight.data.dataset import Pixels


def extract_crops(image: Image.Image, size: tuple[int, int], crops: Crops = CENTER_CROP) -> Pixels:
    """Return crops of a Pillow image of any mode: uint8, (crops, 3, height, width), upright and opaque.

    A crop that would have to be enlarged, because the image is too small, is replaced by the first crop.
    """
    image = to_rgb(apply_exif_orientation(image))
    pixels = np.empty((len(crops), 3, *size), dtype=np.uint8)
    pixels[:] = _resized_crop(image, size, crops[0])
    for index, crop in enumerate(crops[1:], start=1):
        if min(image.size) * (1 - 2 * crop.margin) >= max(size) and image.size != size[::-1]:
            pixels[index] = _resized_crop(image, size, crop)
    return pixels


def _resized_crop(image: Image.Image, size: tuple[int, int], crop: Crop) -> Pixels:
    height, width = size
    center = (crop.position, crop.position)
    square = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS, crop.margin, center)
    return np.asarray(square).transpose(2, 0, 1)


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


def apply_exif_orientation(image: Image.Image) -> Image.Image:
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


def to_rgb(image: Image.Image) -> Image.Image:
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
