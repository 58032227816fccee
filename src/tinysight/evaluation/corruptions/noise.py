"""Gaussian, shot and impulse noise.

All functions take float images, (n, 3, height, width), 0..1, and return new ones. Values may leave that range.
"""

from __future__ import annotations

import torch
from torch import Tensor


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
