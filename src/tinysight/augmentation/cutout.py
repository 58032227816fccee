"""Cutout: one blank square an image, after DeVries & Taylor, arXiv:1708.04552, 2017."""

from __future__ import annotations

import torch
from torch import Tensor

# The paper blanks with the zero of normalised images, their mean, so that the statistics of a batch hardly change.
MID_GREY = 127.5


def sample_centres(n: int, height: int, width: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw for each of `n` images the row and column of the square's centre, any pixel: int64, (n,) each."""
    rows = torch.randint(0, height, (n,), generator=generator, device=generator.device)
    columns = torch.randint(0, width, (n,), generator=generator, device=generator.device)
    return rows, columns


def cutout(images: Tensor, rows: Tensor, columns: Tensor, side: int) -> Tensor:
    """Blank a square in each image; what of the square lies outside the image is lost, as in the paper.

    Args:
        images: float, (n, channels, height, width), 0..255.
        rows: int64, (n,), the row of each square's centre.
        columns: int64, (n,), the column of each square's centre.
        side: pixels; of an even side, the centre is the first pixel of the second half.

    Returns:
        A new tensor of the same shape, with `MID_GREY` in the squares.
    """
    height, width = images.shape[2:]
    hit_rows = _covered(rows.to(images.device), height, side)
    hit_columns = _covered(columns.to(images.device), width, side)
    square = hit_rows.unsqueeze(2) & hit_columns.unsqueeze(1)  # (n, height, width)
    return torch.where(square.unsqueeze(1), MID_GREY, images)


def _covered(centres: Tensor, size: int, side: int) -> Tensor:
    """Return bool (n, size): which of `size` positions the `side` positions about each centre cover."""
    distance = torch.arange(size, device=centres.device) - (centres.unsqueeze(1) - side // 2)
    return (distance >= 0) & (distance < side)
