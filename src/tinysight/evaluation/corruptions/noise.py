"""What a sensor adds: noise of the amplifier, of the photons, of broken pixels.

All take float images, (n, 3, height, width), 0..1, and return new ones, which may leave that range.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gaussian_noise(images: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Add to every value a normal one of standard deviation `deviation`."""
    return images + deviation * torch.randn(images.shape, generator=generator)


def shot_noise(images: Tensor, photons: float, generator: torch.Generator) -> Tensor:
    """Count photons, of which white has `photons` on average: the fewer there are, the more they vary."""
    return torch.poisson(images * photons, generator=generator) / photons


def impulse_noise(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Make a share of all values full or empty, as likely the one as the other."""
    struck = torch.rand(images.shape, generator=generator)
    return torch.where(struck < share, (struck < share / 2).float(), images)
