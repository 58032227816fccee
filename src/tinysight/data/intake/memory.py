"""Images that are in memory already: arrays and Pillow pictures, into the same pixels that files become."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tinysight.data.dataset import Pixels
from tinysight.data.intake.decoding import decode
from tinysight.data.intake.reading import fitted
from tinysight.errors import ImageError, InputError

CHANNELS = (1, 3)
TAKEN = (
    "give uint8 images of 0..255, (n, height, width, 3) or (n, 3, height, width), or a list of paths, of arrays or of "
    "Pillow pictures"
)


def to_pixels(images: Any, image_size: int) -> Pixels:
    """Return images of any accepted kind as uint8, (n, 3, image_size, image_size).

    Args:
        images: an array of uint8, 0..255, (n, height, width, channels) or (n, channels, height, width) with 1 or 3
            channels, or (n, height, width); or a sequence of paths, of single such arrays or of Pillow pictures.
        image_size: height and width of the results; others are scaled and cut to the centre, as files are.

    Raises:
        InputError: it is none of these, or a file cannot be read; then all that cannot are counted.
    """
    if isinstance(images, str | bytes | PathLike):
        raise InputError(f"A single path is no list of images: write [{str(images)!r}].")
    if hasattr(images, "__array__") or not isinstance(images, Sequence):
        return _resized(_channels_first(np.asarray(images)), image_size)
    if not images:
        return np.empty((0, 3, image_size, image_size), dtype=np.uint8)
    if all(isinstance(one, str | PathLike) for one in images):
        return _from_files([Path(one) for one in images], image_size)
    return np.concatenate([_one(image, index, image_size) for index, image in enumerate(images)])


def _one(image: Any, index: int, image_size: int) -> Pixels:
    try:
        if isinstance(image, Image.Image):
            return fitted(image, (image_size, image_size))[None]
        return _resized(_channels_first(np.asarray(image)[None]), image_size)
    except (ImageError, InputError) as error:
        raise InputError(f"Image {index}: {error}") from error


def _from_files(files: list[Path], image_size: int) -> Pixels:
    pixels, failures = decode(files, (image_size, image_size))
    if failures:
        more = f" ({len(failures) - 1:,} more cannot be read.)" if len(failures) > 1 else ""
        raise InputError(f"{failures[0][1]}{more}")
    return pixels


def _channels_first(images: np.ndarray) -> Pixels:
    """Return uint8, (n, 3, height, width), of an array in any accepted order."""
    if images.dtype != np.uint8:
        raise InputError(f"These images are of {images.dtype}; {TAKEN}.")
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or not {images.shape[1], images.shape[3]} & set(CHANNELS):
        raise InputError(f"These images have the shape {images.shape}; {TAKEN}.")
    if images.shape[3] in CHANNELS:
        images = images.transpose(0, 3, 1, 2)
    return np.broadcast_to(images, (len(images), 3, *images.shape[2:]))


def _resized(pixels: Pixels, image_size: int) -> Pixels:
    if pixels.shape[2:] == (image_size, image_size):
        return np.require(pixels, requirements=["C", "W"])  # torch takes no arrays that may not be written to
    if 0 in pixels.shape:
        raise InputError(f"These images have the shape {pixels.shape}: there is nothing in them.")
    pictures = (Image.fromarray(np.ascontiguousarray(one.transpose(1, 2, 0))) for one in pixels)
    return np.stack([fitted(picture, (image_size, image_size)) for picture in pictures])
