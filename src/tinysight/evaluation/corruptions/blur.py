"""Defocus, glass, motion and zoom blur.

All functions take float images, (n, 3, height, width), 0..1, and return new ones. Lengths are in pixels of 32 x 32
images; they scale with the image size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tinysight.data.filters import convolve, gaussian_kernel, gaussian_weights
from tinysight.evaluation.corruptions.warp import translate, zoom

REFERENCE_SIZE = 32  # image side in pixels that the constants are for


def defocus_blur(images: Tensor, radius: float, sigma: float) -> Tensor:
    """Convolve with a disk whose edge is blurred by a Gaussian of standard deviation `sigma`."""
    radius, sigma = (length * _size_factor(images) for length in (radius, sigma))
    offsets = torch.arange(-math.ceil(radius), math.ceil(radius) + 1.0)
    disk = (torch.hypot(offsets[:, None], offsets[None, :]) <= radius).float()
    return convolve(convolve(images, disk / disk.sum()), _gaussian(sigma))


def glass_blur(images: Tensor, sigma: float, max_offset: int, iterations: int, generator: torch.Generator) -> Tensor:
    """Blur, replace every pixel by a random one within `max_offset` pixels, `iterations` times, and blur again.

    Offsets are -max_offset to max_offset - 1, as in CIFAR-10-C.
    """
    sigma, max_offset = sigma * _size_factor(images), max(1, round(max_offset * _size_factor(images)))
    images = convolve(images, _gaussian(sigma))
    for _ in range(iterations):
        images = _shuffle_pixels(images, max_offset, generator)
    return convolve(images, _gaussian(sigma))


def motion_blur(images: Tensor, length: float, sigma: float, generator: torch.Generator) -> Tensor:
    """Blur each image along a random direction within 45 degrees of the horizontal."""
    angles = (torch.rand(len(images), generator=generator) * 2 - 1) * math.pi / 4
    return directional_blur(images, angles, length, sigma)


def directional_blur(images: Tensor, angles: Tensor, length: float, sigma: float) -> Tensor:
    """Average copies of each image, translated by 0 to `length` pixels along its angle, with Gaussian weights.

    The angles, (n,), are in radians.
    """
    length, sigma = length * _size_factor(images), sigma * _size_factor(images)
    steps = torch.arange(math.ceil(length) + 1.0)
    weights = gaussian_weights(steps, sigma)
    total = torch.zeros_like(images)
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        total += weight * translate(images, step * angles.cos(), step * angles.sin())
    return total


def zoom_blur(images: Tensor, factors: Sequence[float]) -> Tensor:
    """Average each image with copies that are magnified by each factor."""
    return torch.stack([images, *(zoom(images, factor) for factor in factors)]).mean(0)


def _size_factor(images: Tensor) -> float:
    return images.shape[-1] / REFERENCE_SIZE


def _gaussian(sigma: float) -> Tensor:
    return gaussian_kernel(sigma, max(1, math.ceil(3 * sigma)))


def _shuffle_pixels(images: Tensor, reach: int, generator: torch.Generator) -> Tensor:
    """Return images in which each pixel is replaced by one at a random offset, -reach to reach - 1 per axis."""
    n, channels, height, width = images.shape
    down, right = torch.randint(-reach, reach, (2, n, height, width), generator=generator)
    rows = (torch.arange(height)[:, None] + down).clamp(0, height - 1)
    columns = (torch.arange(width) + right).clamp(0, width - 1)
    index = (rows * width + columns).flatten(1).unsqueeze(1).expand(-1, channels, -1)
    return images.flatten(2).gather(2, index).view_as(images)
