"""Random crop after padding, so that the content moves by whole pixels and the size stays."""

from __future__ import annotations

import torch
from torch import Tensor

from tinysight.errors import InputError


def sample_offsets(n: int, padding: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw for each of `n` images the top row and left column of its crop, 0..2 `padding`: int64, (n,) each."""
    rows, columns = torch.randint(0, 2 * padding + 1, (2, n), generator=generator, device=generator.device)
    return rows, columns


def padded_crop(images: Tensor, rows: Tensor, columns: Tensor, padding: int) -> Tensor:
    """Mirror `padding` pixels onto every side (the edge itself is not repeated) and crop to the old size.

    Args:
        images: (n, channels, height, width).
        rows: int64, (n,), the first row to keep of each padded image, 0..2 `padding`.
        columns: int64, (n,), the first column to keep.
        padding: pixels, less than height and width.

    Returns:
        A new tensor of the same shape.

    Raises:
        InputError: if the images are too small to be mirrored that far.
    """
    channels, height, width = images.shape[1:]
    if padding >= min(height, width):
        raise InputError(
            f"crop_padding is {padding} pixels, but the images are {height} x {width}; "
            f"choose at most {min(height, width) - 1}."
        )
    shown_rows = _mirrored(rows, height, padding).unsqueeze(2)
    shown_columns = _mirrored(columns, width, padding).unsqueeze(1)
    index = (shown_rows * width + shown_columns).flatten(1).unsqueeze(1)  # (n, 1, height * width)
    index = index.expand(-1, channels, -1).to(images.device)
    return images.flatten(2).gather(2, index).view_as(images)


def _mirrored(offsets: Tensor, size: int, padding: int) -> Tensor:
    """Return (n, size): which of `size` positions each position of each crop shows."""
    padded = torch.arange(size, device=offsets.device) + offsets.unsqueeze(1) - padding
    last = size - 1
    return last - (last - padded.abs()).abs()
