"""Brightness, contrast and saturation jitter.

Each function blends the image with a degenerate version of it: black, the mean gray, or the gray image. A factor of 1
returns the image, 0 the degenerate version, and more than 1 extrapolates (Haeberli & Voorhies, "Image Processing by
Interpolation and Extrapolation", 1994). Images are float, (n, 3, height, width), RGB, 0..255. Factors are float,
(n,), 0 or more. The result is a new tensor of the same shape, clamped to 0..255.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Luma weights of ITU-R BT.601.
_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114


def sample_factors(n: int, share: float, generator: torch.Generator) -> Tensor:
    """Draw `n` factors uniformly from 1 - `strength` to 1 + `strength`; float, (n,)."""
    uniform = torch.rand(n, generator=generator, device=generator.device)
    return 1 + share * (2 * uniform - 1)


def brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with black: multiply the pixels."""
    return (images * _per_image(factors, images)).clamp(0, 255)


def contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with the mean gray level of the image."""
    return _blend(_to_gray(images).mean(dim=(2, 3), keepdim=True), images, factors)


def saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with the gray image."""
    return _blend(_to_gray(images), images, factors)


def _blend(degenerate: Tensor, images: Tensor, factors: Tensor) -> Tensor:
    return torch.lerp(degenerate.expand_as(images), images, _per_image(factors, images)).clamp(0, 255)


def _to_gray(images: Tensor) -> Tensor:
    """Return the luma, (n, 1, height, width)."""
    return _RED * images[:, 0:1] + _GREEN * images[:, 1:2] + _BLUE * images[:, 2:3]


def _per_image(factors: Tensor, images: Tensor) -> Tensor:
    return factors.to(images.device).view(-1, 1, 1, 1)
