"""Images that are in memory already: arrays and Pillow pictures, into the same pixels that files become."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tinysight.data.dataset import Pixels
from tinysight.data.intake.decoding import decode_looks
from tinysight.data.intake.looking import look_at
from tinysight.data.looks import CLOSER, WHOLE, Looks
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
    pixels: Pixels = to_looks(images, image_size, WHOLE)[:, 0]
    return pixels


def to_looks(images: Any, image_size: int, looks: Looks) -> Pixels:
    """Return what a classifier looks at of each image, (n, looks, 3, image_size, image_size).

    Takes and raises what `to_pixels` does. Of an array of the right size there is a single look.
    """
    if isinstance(images, str | bytes | PathLike):
        raise InputError(f"A single path is no list of images: write [{str(images)!r}].")
    if hasattr(images, "__array__") or not isinstance(images, Sequence):
        return _resized(_channels_first(np.asarray(images)), image_size, looks)
    if not images:
        return np.empty((0, len(looks), 3, image_size, image_size), dtype=np.uint8)
    if all(isinstance(one, str | PathLike) for one in images):
        return _from_files([Path(one) for one in images], image_size, looks)
    return np.stack([_one(image, index, image_size, looks) for index, image in enumerate(images)])


def looks_for(images: Any, image_size: int) -> Looks:
    """Return what of a photograph a classifier that learned from such images should look at.

    Whoever made an array of that size has cut the pictures to what they show.
    """
    shape = tuple(getattr(images, "shape", ()))
    return CLOSER if (image_size, image_size) in (shape[1:3], shape[2:4]) else WHOLE


def _one(image: Any, index: int, image_size: int, looks: Looks) -> Pixels:
    try:
        if isinstance(image, Image.Image):
            return look_at(image, (image_size, image_size), looks)
        found = _resized(_channels_first(np.asarray(image)[None]), image_size, looks)[0]
        return np.broadcast_to(found, (len(looks), *found.shape[1:]))
    except (ImageError, InputError) as error:
        raise InputError(f"Image {index}: {error}") from error


def _from_files(files: list[Path], image_size: int, looks: Looks) -> Pixels:
    pixels, failures = decode_looks(files, (image_size, image_size), looks)
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


def _resized(pixels: Pixels, image_size: int, looks: Looks) -> Pixels:
    if pixels.shape[2:] == (image_size, image_size):
        return np.require(pixels, requirements=["C", "W"])[:, None]  # torch takes no arrays that may not be written to
    if 0 in pixels.shape:
        raise InputError(f"These images have the shape {pixels.shape}: there is nothing in them.")
    pictures = (Image.fromarray(np.ascontiguousarray(one.transpose(1, 2, 0))) for one in pixels)
    return np.stack([look_at(picture, (image_size, image_size), looks) for picture in pictures])
