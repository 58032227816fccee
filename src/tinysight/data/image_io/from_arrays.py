"""Convert arrays, Pillow images and lists of paths to uint8 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tinysight._util.errors import ImageError, InputError, ShapeError
from tinysight.data.crops import CENTER_CROP, SIX_CROP, Crops
from tinysight.data.dataset import Pixels
from tinysight.data.image_io.decoding import decode_crops
from tinysight.data.image_io.image_file import extract_crops

CHANNELS = (1, 3)
_SEQUENCE_KINDS = "OTU"  # dtypes of arrays of paths, or of images of different sizes
ACCEPTED = (
    "Pass uint8 images (0..255) of shape (n, height, width, 3) or (n, 3, height, width), or a list of paths, arrays or "
    "Pillow images"
)


def to_pixels(images: Any, image_size: int) -> Pixels:
    """Return images of any accepted kind as uint8, (n, 3, image_size, image_size).

    Args:
        images: a uint8 array, 0..255, (n, height, width, channels) or (n, channels, height, width) with 1 or 3
            channels, or (n, height, width); or a sequence of paths, of single such arrays or of Pillow images.
        image_size: height and width of the results. Other sizes are resized and center-cropped, as files are.

    Raises:
        InputError: `images` is of a different kind, or files cannot be read. The message counts all of these.
        ShapeError: an array has the wrong shape, for example that of a single image.
    """
    pixels: Pixels = to_crops(images, image_size, CENTER_CROP)[:, 0]
    return pixels


def to_crops(images: Any, image_size: int, crops: Crops) -> Pixels:
    """Return crops of each image, (n, crops, 3, image_size, image_size).

    Accepts the same kinds of images as `to_pixels` and raises the same errors; a pandas Series is a sequence. An array
    that already has the right size gives a single crop.
    """
    if isinstance(images, str | bytes | PathLike):
        raise InputError(f"{str(images)!r}: a path, not a list of images. Pass [{str(images)!r}].")
    if isinstance(images, Image.Image):
        raise ShapeError("One image, not a list of images. Pass [image].")
    if hasattr(images, "__array__") or not isinstance(images, Sequence):
        array = _to_array(images)
        if array.ndim != 1 or array.dtype.kind not in _SEQUENCE_KINDS:
            return _resized(_channels_first(_as_batch(array)), image_size, crops)
        images = array.tolist()
    if not images:
        return np.empty((0, len(crops), 3, image_size, image_size), dtype=np.uint8)
    if all(isinstance(image, str | PathLike) for image in images):
        return _from_files([Path(image) for image in images], image_size, crops)
    return np.stack([_from_image(image, index, image_size, crops) for index, image in enumerate(images)])


def default_crops(images: Any, image_size: int) -> Crops:
    """Return the crops for larger images that suit a classifier trained on these images.

    An array of exactly `image_size` usually holds tightly cropped objects.
    """
    shape = tuple(getattr(images, "shape", ()))
    return SIX_CROP if (image_size, image_size) in (shape[1:3], shape[2:4]) else CENTER_CROP


def _to_array(images: Any) -> np.ndarray:
    """Return an array. Raises InputError if `images` is none, or a part of it is masked."""
    try:
        array = np.asarray(images)
    except (TypeError, RuntimeError) as error:  # of torch: a tensor on a GPU, or with a gradient
        raise InputError(f"Unsupported {type(images).__name__}: {error} {ACCEPTED}.") from error
    if array.ndim == 0:
        raise InputError(f"Unsupported type: {type(images).__name__}. {ACCEPTED}.")
    if np.ma.is_masked(images):
        raise InputError("Masked pixels. Give them a value, for example with X.filled(0).")
    return array


def _from_image(image: Any, index: int, image_size: int, crops: Crops) -> Pixels:
    try:
        if isinstance(image, Image.Image):
            return extract_crops(image, (image_size, image_size), crops)
        array = _to_array(image)
        batch = array[None, None] if array.ndim == 2 else array[None]
        pixels = _resized(_channels_first(batch), image_size, crops)[0]
        return np.broadcast_to(pixels, (len(crops), *pixels.shape[1:]))
    except (ImageError, InputError) as error:
        raise InputError(f"Image {index}: {error}") from error


def _from_files(files: list[Path], image_size: int, crops: Crops) -> Pixels:
    pixels, failures = decode_crops(files, (image_size, image_size), crops)
    if failures:
        more = f" ({len(failures) - 1:,} more cannot be read.)" if len(failures) > 1 else ""
        raise InputError(f"{failures[0][1]}{more}")
    return pixels


def _as_batch(images: np.ndarray) -> np.ndarray:
    """Return (n, height, width) as (n, 1, height, width). Raises ShapeError for the shape of a single image."""
    if images.ndim != 3:
        return images
    if {images.shape[0], images.shape[2]} & {1, 3, 4}:
        raise ShapeError(
            f"Shape {images.shape}: one image, not a batch of images. Pass X[None] for one image, or X[:, None] for "
            "gray images."
        )
    return images[:, None]


def _channels_first(images: np.ndarray) -> Pixels:
    """Return an array in any accepted axis order as uint8, (n, 3, height, width)."""
    if images.dtype != np.uint8:
        hint = " Convert pixels of 0..1 with (X * 255).round().astype('uint8')." if images.dtype.kind == "f" else ""
        raise InputError(f"Unsupported dtype: {images.dtype}. {ACCEPTED}.{hint}")
    if images.ndim != 4 or not {images.shape[1], images.shape[3]} & set(CHANNELS):
        raise InputError(f"Unsupported shape: {images.shape}. {ACCEPTED}.")
    if images.shape[3] in CHANNELS:
        images = images.transpose(0, 3, 1, 2)
    return np.broadcast_to(images, (len(images), 3, *images.shape[2:]))


def _resized(pixels: Pixels, image_size: int, crops: Crops) -> Pixels:
    if pixels.shape[2:] == (image_size, image_size):
        return np.require(pixels, requirements=["C", "W"])[:, None]  # torch warns about read-only arrays
    if 0 in pixels.shape:
        raise InputError(f"Empty images: shape {pixels.shape}. {ACCEPTED}.")
    images = (Image.fromarray(np.ascontiguousarray(array.transpose(1, 2, 0))) for array in pixels)
    return np.stack([extract_crops(image, (image_size, image_size), crops) for image in images])
