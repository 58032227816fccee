"""Subgroups by brightness, contrast, colorfulness and sharpness.

Each property splits the images into terciles: low, middle and high.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Pixels

NAMES = ("low", "middle", "high")
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def slices(pixels: Pixels) -> dict[str, NDArray[np.object_]]:
    """Return the tercile of each of uint8 images (n, 3, height, width), by property."""
    return {name: thirds(values) for name, values in properties(pixels).items()}


def properties(pixels: Pixels) -> dict[str, NDArray[np.float64]]:
    """Return one value per image, (n,), by property, in gray levels (squared for sharpness).

    Brightness and contrast are the mean and the standard deviation of luma. Colorfulness is that of Hasler and
    Suesstrunk, "Measuring Colourfulness in Natural Images" (Human Vision and Electronic Imaging VIII, 2003). Sharpness
    is the variance of the Laplacian (Pech-Pacheco et al., "Diatom Autofocusing in Brightfield Microscopy", ICPR 2000).
    """
    chunks = [_properties(pixels[start : start + 1000].astype(np.float32)) for start in range(0, len(pixels), 1000)]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _properties(pixels: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    red, green, blue = pixels.transpose(1, 0, 2, 3)
    gray = np.einsum("nchw,c->nhw", pixels, _LUMA)
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    return {
        "brightness": gray.mean((1, 2)).astype(np.float64),
        "contrast": gray.std((1, 2)).astype(np.float64),
        "colorfulness": np.hypot(red_green.std((1, 2)), yellow_blue.std((1, 2)))
        + 0.3 * np.hypot(red_green.mean((1, 2)), yellow_blue.mean((1, 2))),
        "sharpness": _laplacian(gray).var((1, 2)).astype(np.float64),
    }


def _laplacian(gray: NDArray[np.float32]) -> NDArray[np.float32]:
    neighbors = gray[:, :-2, 1:-1] + gray[:, 2:, 1:-1] + gray[:, 1:-1, :-2] + gray[:, 1:-1, 2:]
    laplacian: NDArray[np.float32] = neighbors - 4 * gray[:, 1:-1, 1:-1]
    return laplacian


def thirds(values: NDArray[np.float64]) -> NDArray[np.object_]:
    """Return the tercile of each value, (n,): "low", "middle" or "high". Equal values share a tercile."""
    edges = np.quantile(values, [1 / 3, 2 / 3])
    return np.array(NAMES, dtype=object)[np.searchsorted(edges, values, side="left")]
