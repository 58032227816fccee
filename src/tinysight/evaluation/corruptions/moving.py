"""Images moved, magnified and bent: where each pixel is read from."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def moved(images: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Return each image moved by its own distance in pixels, (n,) or (n, height, width), its edges drawn out."""
    return bent(images, -right.view(len(images), -1), -down.view(len(images), -1))


def scaled(images: Tensor, factor: float) -> Tensor:
    """Return images magnified by `factor` about their middle and cut to their size."""
    grid = _places(images) / factor
    return F.grid_sample(images, grid.expand(len(images), -1, -1, -1), padding_mode="border", align_corners=False)


def bent(images: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Return images whose pixels are read so many pixels further right and down: (n, height * width) or (n, 1)."""
    n, _, height, width = images.shape
    offsets = torch.stack([right.expand(n, height * width) * 2 / width, down.expand(n, height * width) * 2 / height], 2)
    grid = _places(images) + offsets.view(n, height, width, 2)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _places(images: Tensor) -> Tensor:
    """Return (1, height, width, 2): the x and y of every pixel, -1..1 from edge to edge."""
    height, width = images.shape[2:]
    x = (torch.arange(width) + 0.5) * 2 / width - 1
    y = (torch.arange(height) + 0.5) * 2 / height - 1
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=2).unsqueeze(0)
