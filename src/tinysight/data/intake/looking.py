"""A decoded picture cut and scaled to what a classifier looks at."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from tinysight.data.dataset import Pixels
from tinysight.data.intake.rgb import opaque_rgb, upright
from tinysight.data.looks import WHOLE, Look, Looks


def look_at(image: Image.Image, size: tuple[int, int], looks: Looks = WHOLE) -> Pixels:
    """Return a Pillow picture of any mode as uint8, (looks, 3, height, width): upright, opaque, cut and scaled.

    Where a picture has not the pixels that another look needs, this shows what the first one does.
    """
    picture = opaque_rgb(upright(image))
    seen = np.empty((len(looks), 3, *size), dtype=np.uint8)
    seen[:] = _look(picture, size, looks[0])
    for index, look in enumerate(looks[1:], start=1):
        if min(picture.size) * (1 - 2 * look.closer) >= max(size) and picture.size != size[::-1]:
            seen[index] = _look(picture, size, look)
    return seen


def _look(picture: Image.Image, size: tuple[int, int], look: Look) -> Pixels:
    height, width = size
    centre = (look.place, look.place)
    square = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS, look.closer, centre)
    return np.asarray(square).transpose(2, 0, 1)
