"""Brightness, contrast and saturation jitter.

Each function blends the image with a degenerate version of it: black, the mean gray, or the gray image. A factor of 1
returns the image, 0 the degenerate version, and more than 1 extrapolates (Haeberli & Voorhies, "Image Processing by
Interpolation and Extrapolation", 1994). Images are float, (n, 3, height, width), RGB, 0..255. Factors are float,
(n,), 0 or more. The result is a new tensor of the same shape, clamped to 0..255.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tinysight._util.errors import InputError
from tinysight.data.filters import luma


def sample_color_factors(n: int, strength: float, generator: torch.Generator) -> Tensor:
    """Draw `n` factors uniformly from 1 - `strength` to 1 + `strength`; float, (n,)."""
    uniform = torch.rand(n, generator=generator, device=generator.device)
    return 1 + strength * (2 * uniform - 1)


def adjust_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with black: multiply the pixels."""
    return (images * _per_image(factors, images)).clamp(0, 255)


def adjust_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with the mean gray level of the image."""
    return _blend(luma(images).mean(dim=(2, 3), keepdim=True), images, factors)


def adjust_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with the gray image."""
    return _blend(luma(images), images, factors)


def _blend(degenerate: Tensor, images: Tensor, factors: Tensor) -> Tensor:
    return torch.lerp(degenerate.expand_as(images), images, _per_image(factors, images)).clamp(0, 255)


def _per_image(factors: Tensor, images: Tensor) -> Tensor:
    return factors.to(images.device).view(-1, 1, 1, 1)


def sample_crop_offsets(n: int, padding: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
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


# The paper fills with 0 after normalization, the mean, so that batch statistics hardly change.
MID_GRAY = 127.5


def sample_centers(n: int, height: int, width: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
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
        A new tensor of the same shape, with `MID_GRAY` in the squares.
    """
    height, width = images.shape[2:]
    in_rows = _covered(rows.to(images.device), height, side)
    in_columns = _covered(columns.to(images.device), width, side)
    square = in_rows.unsqueeze(2) & in_columns.unsqueeze(1)  # (n, height, width)
    return torch.where(square.unsqueeze(1), MID_GRAY, images)


def _covered(centers: Tensor, size: int, side: int) -> Tensor:
    """Return a bool (n, size) mask of the `side` positions around each center."""
    distance = torch.arange(size, device=centers.device) - (centers.unsqueeze(1) - side // 2)
    return (distance >= 0) & (distance < side)


def sample_flips(n: int, generator: torch.Generator) -> Tensor:
    """Draw whether each of `n` images is flipped, with probability 1/2; bool, (n,)."""
    return torch.rand(n, generator=generator, device=generator.device) < 0.5


def horizontal_flip(images: Tensor, flips: Tensor) -> Tensor:
    """Flip the float `images`, (n, channels, height, width), where `flips`, bool (n,), is true."""
    # With weights 0 and 1, lerp is exact and twice as fast as torch.where.
    return torch.lerp(images, images.flip(3), flips.to(images).view(-1, 1, 1, 1))
