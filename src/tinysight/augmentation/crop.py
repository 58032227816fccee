"""Random crop after padding, so that the content moves by whole pixels and the size stays."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tinysight.errors import InputError


def sample_offsets(n: int, padding: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw for each of `n` images the top row and left column of its crop, 0..2 `padding`: int64, (n,) each."""
    rows, columns = torch.randint(0, 2 * padding + 1, (2, n), generator=generator, device=generator.device)
    return rows, columns


def padded_crop(images: Tensor, rows: Tensor, columns: Tensor, padding: int) -> Tensor:
    """Mirror `padding` pixels onto every side (the edge itself is not repeated) and crop to the old size.

    Args:
        images: float, (n, channels, height, width).
        rows: int64, (n,), the first row to keep of each padded image, 0..2 `padding`.
        columns: int64, (n,), the first column to keep.
        padding: pixels, less than height and width.

    Returns:
        A new tensor of the same shape.

    Raises:
        InputError: if the images are too small to be mirrored that far.
    """
    n, _, height, width = images.shape
    if padding >= min(height, width):
        raise InputError(
            f"crop_padding is {padding} pixels, but the images are {height} x {width}; "
            f"choose at most {min(height, width) - 1}."
        )
    padded = F.pad(images, [padding] * 4, mode="reflect")
    # A view of every possible crop, (n, channels, rows, columns, height, width): only the chosen are copied.
    crops = padded.unfold(2, height, 1).unfold(3, width, 1)
    device = images.device
    return crops[torch.arange(n, device=device), :, rows.to(device), columns.to(device)]
