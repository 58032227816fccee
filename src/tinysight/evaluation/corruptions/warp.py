"""Translation, zoom and warping of image batches by resampling."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def translate(images: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
    """Return each image translated by its own offset in pixels, (n,) or (n, height, width), with reflected borders."""
    return warp(images, -dx.view(len(images), -1), -dy.view(len(images), -1))


def zoom(images: Tensor, factor: float) -> Tensor:
    """Return images magnified by `factor` around the center and cropped to their size."""
    grid = _base_grid(images) / factor
    return F.grid_sample(images, grid.expand(len(images), -1, -1, -1), padding_mode="border", align_corners=False)


def warp(images: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
    """Return images sampled at offsets in pixels, (n, height * width) or (n, 1), to the right and down."""
    n, _, height, width = images.shape
    offsets = torch.stack([dx.expand(n, height * width) * 2 / width, dy.expand(n, height * width) * 2 / height], 2)
    grid = _base_grid(images) + offsets.view(n, height, width, 2)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _base_grid(images: Tensor) -> Tensor:
    """Return the coordinates (x, y) of the pixel centers, (1, height, width, 2); edges are at -1 and 1."""
    height, width = images.shape[2:]
    x = (torch.arange(width) + 0.5) * 2 / width - 1
    y = (torch.arange(height) + 0.5) * 2 / height - 1
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=2).unsqueeze(0)
