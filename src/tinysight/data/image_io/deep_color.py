"""Color images of 16 bits for each channel, scaled by the range that they use.

Pillow keeps the upper 8 bits of each value, so that 12-bit data become nearly black. Its decoders can also return the
lower 8 bits: they are the upper ones in the other byte order.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from PIL import Image

BITS = (8, 10, 12, 14, 16)  # of sensors whose values are stored in 16 bits
_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_MODES = tuple(f"{mode};16{order}" for mode in ("RGB", "RGBA") for order in _SWAPPED)


def bits_of(largest: int) -> int:
    """Return the fewest bits, of 8, 10, 12, 14 and 16, that hold a value below 65,536."""
    return next(bits for bits in BITS if largest < 2**bits)


def is_deep(image: Image.Image) -> bool:
    """Return whether the file of an image, which is not decoded yet, has 16 bits for each color channel."""
    return bool(_raw_modes(image)) and "transparency" not in image.info


def with_real_range(image: Image.Image, reopen: Callable[[], Image.Image]) -> Image.Image:
    """Return a decoded image of 16-bit channels as 8 bits, scaled by the fewest bits that hold its brightest value.

    Args:
        image: the image, decoded by Pillow to the upper 8 bits.
        reopen: opens the same file again.
    """
    high = np.asarray(image)
    if high[..., :3].max() >= 2**6:  # 15 or 16 bits
        return image
    again = reopen()
    swapped = {raw: raw[:-1] + _SWAPPED[raw[-1]] for raw in _MODES}
    # Pillow's tile descriptors are public, but not typed.
    again.tile = [  # type: ignore[attr-defined]
        tile._replace(
            args=(swapped[tile.args[0]], *tile.args[1:]) if isinstance(tile.args, tuple) else swapped[tile.args]
        )
        for tile in again.tile  # type: ignore[attr-defined]
    ]
    again.load()
    values = high.astype(np.uint16) << 8 | np.asarray(again)
    colors = (values[..., :3] >> (bits_of(int(values[..., :3].max())) - 8)).astype(np.uint8)
    scaled = Image.fromarray(np.concatenate([colors, high[..., 3:]], axis=2))
    scaled.info = {key: value for key, value in image.info.items() if key == "exif"}  # with the orientation
    return scaled


def _raw_modes(image: Image.Image) -> list[str]:
    tiles = getattr(image, "tile", [])
    raw = [tile.args[0] if isinstance(tile.args, tuple) and tile.args else tile.args for tile in tiles]
    return raw if all(mode in _MODES for mode in raw) else []
