"""Crop and resize a decoded Pillow image."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from tinysight.data.dataset import Pixels
from tinysight.data.intake.rgb import opaque_rgb, upright
from tinysight.data.looks import WHOLE, Look, Looks


def look_at(image: Image.Image, size: tuple[int, int], looks: Looks = WHOLE) -> Pixels:
    """Return crops of a Pillow image of any mode: uint8, (crops, 3, height, width), upright and opaque.

    A crop that would have to be enlarged, because the image is too small, is replaced by the first crop.
    """
    image = opaque_rgb(upright(image))
    pixels = np.empty((len(looks), 3, *size), dtype=np.uint8)
    pixels[:] = _resized_crop(image, size, looks[0])
    for index, crop in enumerate(looks[1:], start=1):
        if min(image.size) * (1 - 2 * crop.closer) >= max(size) and image.size != size[::-1]:
            pixels[index] = _resized_crop(image, size, crop)
    return pixels


def _resized_crop(image: Image.Image, size: tuple[int, int], crop: Look) -> Pixels:
    height, width = size
    center = (crop.place, crop.place)
    square = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS, crop.closer, center)
    return np.asarray(square).transpose(2, 0, 1)
