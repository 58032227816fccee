"""Mirroring left to right."""

from __future__ import annotations

import torch
from torch import Tensor


def sample_flips(n: int, generator: torch.Generator) -> Tensor:
    """Draw for each of `n` images whether it is mirrored, with probability one half: bool, (n,)."""
    return torch.rand(n, generator=generator, device=generator.device) < 0.5


def horizontal_flip(images: Tensor, flips: Tensor) -> Tensor:
    """Return `images` (n, channels, height, width) with those mirrored where `flips`, bool (n,), is true."""
    return torch.where(flips.to(images.device).view(-1, 1, 1, 1), images.flip(3), images)
