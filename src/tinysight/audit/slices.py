"""Groups that every image has, whoever made it: how bright, contrasty, colourful and sharp it is.

Each property divides the images into three of equal size: the lowest third, the middle and the highest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Pixels

NAMES = ("low", "middle", "high")
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def slices(pixels: Pixels) -> dict[str, NDArray[np.object_]]:
    """Return by property the third, "low", "middle" or "high", of each of uint8 images (n, 3, height, width)."""
    return {name: thirds(values) for name, values in properties(pixels).items()}


def properties(pixels: Pixels) -> dict[str, NDArray[np.float64]]:
    """Return by property one number an image, (n,): higher is brighter, more contrasty, more colourful, sharper.

    Colourfulness is that of Hasler and Suesstrunk, "Measuring Colourfulness in Natural Images" (Human Vision and
    Electronic Imaging VIII, 2003); sharpness the variance of the Laplacian (Pech-Pacheco et al., "Diatom Autofocusing
    in Brightfield Microscopy", ICPR 2000).
    """
    parts = [_properties(pixels[start : start + 1000].astype(np.float32)) for start in range(0, len(pixels), 1000)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _properties(pixels: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    red, green, blue = pixels.transpose(1, 0, 2, 3)
    grey = np.einsum("nchw,c->nhw", pixels, _LUMA)
    across, down = red - green, (red + green) / 2 - blue
    return {
        "brightness": grey.mean((1, 2)).astype(np.float64),
        "contrast": grey.std((1, 2)).astype(np.float64),
        "colourfulness": np.hypot(across.std((1, 2)), down.std((1, 2)))
        + 0.3 * np.hypot(across.mean((1, 2)), down.mean((1, 2))),
        "sharpness": _laplacian(grey).var((1, 2)).astype(np.float64),
    }


def _laplacian(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    beside = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    found: NDArray[np.float32] = beside - 4 * grey[:, 1:-1, 1:-1]
    return found


def thirds(values: NDArray[np.float64]) -> NDArray[np.object_]:
    """Return the third that each value is in; equal values are in the same."""
    edges = np.quantile(values, [1 / 3, 2 / 3])
    return np.array(NAMES, dtype=object)[np.searchsorted(edges, values, side="left")]
