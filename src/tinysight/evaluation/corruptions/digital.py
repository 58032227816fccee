"""Noise, brightness, contrast, elastic transform, pixelation and JPEG compression.

All functions take float images, (n, 3, height, width), 0..1, and return new ones. Values may leave that range.
"""

from __future__ import annotations

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from tinysight.data.filters import gaussian_blur
from tinysight.evaluation.corruptions.warp import warp


def gaussian_noise(images: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """Add normal noise of standard deviation `sigma` to every value."""
    return images + sigma * torch.randn(images.shape, generator=generator)


def shot_noise(images: Tensor, photons: float, generator: torch.Generator) -> Tensor:
    """Replace every value by a Poisson count of photons; white has a mean of `photons`."""
    return torch.poisson(images * photons, generator=generator) / photons


def impulse_noise(images: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Set the given fraction of all values to 0 or 1 with equal probability (salt-and-pepper noise)."""
    uniform = torch.rand(images.shape, generator=generator)
    return torch.where(uniform < fraction, (uniform < fraction / 2).float(), images)


def brightness(images: Tensor, amount: float) -> Tensor:
    """Add `amount` to the value of every pixel in HSV; keep hue and saturation."""
    value = images.amax(1, keepdim=True)
    raised = (value + amount).clamp(0, 1)
    return torch.where(value > 0, images * raised / value.clamp_min(1e-6), raised)


def contrast(images: Tensor, factor: float) -> Tensor:
    """Scale the deviation of every channel from its mean by `factor`."""
    mean = images.mean((2, 3), keepdim=True)
    return (images - mean) * factor + mean


def elastic_transform(images: Tensor, strength: float, sigma: float, skew: float, generator: torch.Generator) -> Tensor:
    """Apply a random affine transform and a smooth random displacement field to each image.

    All lengths are fractions of the image side.

    Args:
        images: float, (n, 3, height, width).
        strength: scale of the displacement field, which is uniform in -1..1 before smoothing.
        sigma: standard deviation of the Gaussian that smooths the field.
        skew: maximum displacement of three corners by the affine transform.
        generator: random number generator.
    """
    n, _, height, width = images.shape
    dx, dy = _affine_offsets(n, height, width, skew * width, generator)
    if strength:
        field = torch.rand(2, n, height, width, generator=generator) * 2 - 1
        reach = max(1, min(round(3 * sigma * width), height - 1, width - 1))
        dx, dy = (
            offset + strength * width * gaussian_blur(component[:, None], sigma * width, reach).flatten(1)
            for offset, component in zip((dx, dy), field, strict=True)
        )
    return warp(images, dx, dy)


def pixelate(images: Tensor, fraction: float) -> Tensor:
    """Shrink to `fraction` of the rows and columns with a box filter, and enlarge again."""
    height, width = images.shape[2:]
    rows, columns = (
        _box_filter(height, max(1, int(height * fraction))),
        _box_filter(width, max(1, int(width * fraction))),
    )
    small = rows @ images @ columns.T
    return F.interpolate(small, (height, width), mode="nearest-exact")


def _box_filter(length: int, bins: int) -> Tensor:
    """Return the weights, (bins, length), that average the pixels of a line whose centers lie in each bin."""
    edges, centers = torch.arange(bins + 1) * (length / bins), torch.arange(length) + 0.5
    inside = ((centers > edges[:-1, None]) & (centers <= edges[1:, None])).float()
    return inside / inside.sum(1, keepdim=True)


def jpeg_compression(images: Tensor, quality: int) -> Tensor:
    """Compress every image as a JPEG of the given quality, 1..100, and decompress it."""
    arrays = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    decoded = np.stack([_compress(Image.fromarray(array), quality) for array in arrays])
    return torch.from_numpy(decoded).permute(0, 3, 1, 2).float() / 255


def _compress(image: Image.Image, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def _affine_offsets(
    n: int, height: int, width: int, max_offset: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the x and y sampling offsets, (n, height * width), of random affine transforms."""
    top_left, top_right, bottom_left = (torch.rand(3, n, 2, 1, generator=generator) * 2 - 1) * max_offset
    x = ((torch.arange(width) + 0.5) / width).expand(height, width).flatten()
    y = ((torch.arange(height) + 0.5) / height)[:, None].expand(height, width).flatten()
    offsets = top_left + (top_right - top_left) * x + (bottom_left - top_left) * y  # (n, 2, height * width)
    return offsets[:, 0], offsets[:, 1]
