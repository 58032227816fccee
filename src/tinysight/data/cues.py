"""Cues: properties of an image or its file that do not depend on what the image shows.

Each is a few numbers per image. If they tell the class, a classifier can learn them instead of the subject.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Pixels, Split
from tinysight.data.image_io.formats import HEAD_BYTES, image_format
from tinysight.data.image_io.image_file import read_dimensions
from tinysight.data.pixels import take

Features = NDArray[np.float64]

_GRID = 8  # cells per side of the downscaled image whose center is left out
_SEGMENTS = 4  # per side of the border


@dataclass(frozen=True)
class Cue:
    """A cue of some images.

    Attributes:
        name: what it is, as a noun.
        features: float64, (n, k).
        is_artifact: whether it comes from how the files were made. Otherwise it may be part of the subject, such as
            the sky behind airplanes.
    """

    name: str
    features: Features
    is_artifact: bool


def measure_cues(split: Split, rows: NDArray[np.int64], folder: Path | None) -> list[Cue]:
    """Return the cues of images.

    Args:
        split: the split that has the images.
        rows: their indices.
        folder: the folder that `split.files` are relative to. Without it, or without files, cues of files are left out.
    """
    pixels = take(split.pixels, rows)
    cues = [Cue(name, measure(pixels), False) for name, measure in _OF_PIXELS.items()]
    if folder is None or not split.files:
        return cues
    files = [folder / split.files[row] for row in rows]
    return cues + [Cue(name, measure(files), True) for name, measure in _OF_FILES.items()]


def _brightness(pixels: Pixels) -> Features:
    return _with_squares(pixels.mean((1, 2, 3))[:, None])


def _color(pixels: Pixels) -> Features:
    means = pixels.mean((2, 3))
    return _with_squares(means[:, :2] - means[:, 2:])


def _sharpness(pixels: Pixels) -> Features:
    """Return the logarithm of the variance of neighboring pixels' differences, relative to that of the pixels."""
    rows = []
    for image in pixels:
        gray = image.mean(0)
        differences = np.diff(gray, axis=0).var() + np.diff(gray, axis=1).var()
        rows.append(np.log((differences + 1e-3) / (gray.var() + 1e-3)))
    return _with_squares(np.array(rows)[:, None])


def _border(pixels: Pixels) -> Features:
    """Return the mean color of segments of the outermost pixels on each side."""
    width = max(1, min(pixels.shape[2:]) // 16)
    strips = (
        pixels[:, :, :width].mean(2),
        pixels[:, :, -width:].mean(2),
        pixels[:, :, :, :width].mean(3),
        pixels[:, :, :, -width:].mean(3),
    )
    segments = [part.mean(2) for strip in strips for part in np.array_split(strip, _SEGMENTS, axis=2)]
    return np.concatenate(segments, axis=1)


def _background(pixels: Pixels) -> Features:
    """Return the mean color of the cells of a grid, without those of the center."""
    cells = [
        part.mean((2, 3))
        for number, row in enumerate(np.array_split(pixels, _GRID, axis=2))
        for column, part in enumerate(np.array_split(row, _GRID, axis=3))
        if not (_GRID // 4 <= number < 3 * _GRID // 4 and _GRID // 4 <= column < 3 * _GRID // 4)
    ]
    return np.concatenate(cells, axis=1)


def _file_size(files: list[Path]) -> Features:
    return _with_squares(np.log1p([file.stat().st_size if file.is_file() else 0 for file in files])[:, None])


def _image_size(files: list[Path]) -> Features:
    sizes = np.array([read_dimensions(file) or (1, 1) for file in files], dtype=np.float64)
    return _with_squares(np.log(np.column_stack([sizes, sizes[:, 0] / sizes[:, 1]])))


def _file_format(files: list[Path]) -> Features:
    _, formats = np.unique([_format_of(file) for file in files], return_inverse=True)
    return np.eye(formats.max() + 1)[formats]


def _format_of(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return image_format(opened.read(HEAD_BYTES)) or ""
    except OSError:
        return ""


def _with_squares(features: Features) -> Features:
    """Append the squares of the centered features, so that a linear classifier can separate a middle range."""
    return np.concatenate([features, (features - features.mean(0)) ** 2], axis=1)


_OF_PIXELS: dict[str, Callable[[Pixels], Features]] = {
    "brightness": _brightness,
    "color": _color,
    "sharpness": _sharpness,
    "border": _border,
    "background": _background,
}
_OF_FILES: dict[str, Callable[[list[Path]], Features]] = {
    "file size": _file_size,
    "image size": _image_size,
    "file format": _file_format,
}
