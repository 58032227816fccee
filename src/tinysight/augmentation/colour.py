"""Brightness, contrast and saturation, each a blend of the image with a duller version of itself.

A factor of 1 changes nothing, 0 leaves only the dull version (black, the mean grey, the grey image), and
more than 1 leads away from it (Haeberli & Voorhies, "Image Processing by Interpolation and Extrapolation",
1994). Images are float, (n, 3, height, width), RGB, 0..255; factors are float, (n,), 0 or more. Each
function returns a new tensor of the same shape, clamped to 0..255.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Luma of ITU-R BT.601: what red, green and blue add to the grey level.
_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114


def sample_factors(n: int, share: float, generator: torch.Generator) -> Tensor:
    """Draw `n` factors, uniformly from 1 - `share` to 1 + `share`: float, (n,)."""
    uniform = torch.rand(n, generator=generator, device=generator.device)
    return 1 + share * (2 * uniform - 1)


def brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with black: multiply the pixels."""
    return (images * _per_image(factors, images)).clamp(0, 255)


def contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with the mean grey level of the image."""
    return _blend(_grey(images).mean(dim=(2, 3), keepdim=True), images, factors)


def saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with the grey image."""
    return _blend(_grey(images), images, factors)


def _blend(dull: Tensor, images: Tensor, factors: Tensor) -> Tensor:
    return torch.lerp(dull.expand_as(images), images, _per_image(factors, images)).clamp(0, 255)


def _grey(images: Tensor) -> Tensor:
    """Return (n, 1, height, width)."""
    return _RED * images[:, 0:1] + _GREEN * images[:, 1:2] + _BLUE * images[:, 2:3]


def _per_image(factors: Tensor, images: Tensor) -> Tensor:
    return factors.to(images.device).view(-1, 1, 1, 1)
