"""Cutout: a gray square per image (DeVries & Taylor, arXiv:1708.04552, 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

# The paper fills with 0 after normalization, the mean, so that batch statistics hardly change.
MID_GREY = 127.5


def sample_centres(n: int, height: int, width: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the row and column of `n` square centers, uniformly over all pixels; int64, (n,) each."""
    rows = torch.randint(0, height, (n,), generator=generator, device=generator.device)
    columns = torch.randint(0, width, (n,), generator=generator, device=generator.device)
    return rows, columns


def cutout(images: Tensor, rows: Tensor, columns: Tensor, side: int) -> Tensor:
    """Fill a square in each image. As in the paper, squares may extend beyond the image.

    Args:
        images: float, (n, channels, height, width), 0..255.
        rows: int64, (n,), the row of each square's center.
        columns: int64, (n,), the column of each square's center.
        side: pixels; if even, the center is the first pixel of the second half.

    Returns:
        A new tensor of the same shape, with `MID_GREY` in the squares.
    """
    height, width = images.shape[2:]
    in_rows = _covered(rows.to(images.device), height, side)
    in_columns = _covered(columns.to(images.device), width, side)
    square = in_rows.unsqueeze(2) & in_columns.unsqueeze(1)  # (n, height, width)
    return torch.where(square.unsqueeze(1), MID_GREY, images)


def _covered(centers: Tensor, size: int, side: int) -> Tensor:
    """Return a bool (n, size) mask of the `side` positions around each center."""
    distance = torch.arange(size, device=centers.device) - (centers.unsqueeze(1) - side // 2)
    return (distance >= 0) & (distance < side)
