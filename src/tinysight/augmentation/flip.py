"""Mirroring left to right."""

from __future__ import annotations

import torch
from torch import Tensor


def sample_flips(n: int, generator: torch.Generator) -> Tensor:
    """Draw for each of `n` images whether it is mirrored, with probability one half: bool, (n,)."""
    return torch.rand(n, generator=generator, device=generator.device) < 0.5


def horizontal_flip(images: Tensor, flips: Tensor) -> Tensor:
    """Return float `images`, (n, channels, height, width), mirrored where `flips`, bool (n,), is true."""
    # With weights 0 and 1 lerp returns one image or the other exactly, and twice as fast as torch.where.
    return torch.lerp(images, images.flip(3), flips.to(images).view(-1, 1, 1, 1))
