"""Random crop after reflection padding."""

from __future__ import annotations

import torch
from torch import Tensor

from tinysight.errors import InputError


def sample_offsets(n: int, padding: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the top row and left column of `n` crops, 0..2 `padding`; int64, (n,) each."""
    rows, columns = torch.randint(0, 2 * padding + 1, (2, n), generator=generator, device=generator.device)
    return rows, columns


def padded_crop(images: Tensor, rows: Tensor, columns: Tensor, padding: int) -> Tensor:
    """Pad by reflection without repeating the edge, and crop to the original size.

    Args:
        images: (n, channels, height, width).
        rows: int64, (n,), the top row of each crop in its padded image, 0..2 `padding`.
        columns: int64, (n,), the left column of each crop.
        padding: pixels on each side, less than height and width.

    Returns:
        A new tensor of the same shape.

    Raises:
        InputError: the images are not larger than the padding.
    """
    channels, height, width = images.shape[1:]
    if padding >= min(height, width):
        raise InputError(
            f"crop_padding is {padding} pixels, but the images are {height} x {width}. "
            f"Use at most {min(height, width) - 1}."
        )
    source_rows = _reflected(rows, height, padding).unsqueeze(2)
    source_columns = _reflected(columns, width, padding).unsqueeze(1)
    index = (source_rows * width + source_columns).flatten(1).unsqueeze(1)  # (n, 1, height * width)
    index = index.expand(-1, channels, -1).to(images.device)
    return images.flatten(2).gather(2, index).view_as(images)


def _reflected(offsets: Tensor, size: int, padding: int) -> Tensor:
    """Return the source position of each position of each crop, (n, size)."""
    padded = torch.arange(size, device=offsets.device) + offsets.unsqueeze(1) - padding
    last = size - 1
    return last - (last - padded.abs()).abs()
