"""Rotation, shift, shear, zoom and flip: one affine map an image, applied to a whole batch at once.

For given parameters the pictures equal those of Keras' `ImageDataGenerator.apply_transform` (bilinear).
Keras errs in two places, which are put right here and do not show in the notebooks (square images, equal
shifts): it turns and zooms images that are not square about a point beside their centre, and its
`width_shift_range` moves images up and down, its `height_shift_range` left and right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from tinysight.augmentation.config import Augmentation

_PADDING_MODE = {"nearest": "border", "reflect": "reflection", "constant": "border"}

# Rounding must not push a point that lies on the outermost pixels out of the image; in units of half a side.
_EDGE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class AffineParameters:
    """One map an image, under the names of Keras' `transform_parameters`; every tensor has shape (n,).

    They say where an output pixel is read from, so content moves and grows the opposite way.

    Attributes:
        theta: rotation, degrees.
        tx: shift along the width, pixels.
        ty: shift along the height, pixels.
        shear: shear, degrees.
        zx: factor along the width; below 1 magnifies.
        zy: factor along the height; below 1 magnifies.
        flip: bool, whether the result is mirrored left to right.
    """

    theta: Tensor
    tx: Tensor
    ty: Tensor
    shear: Tensor
    zx: Tensor
    zy: Tensor
    flip: Tensor


def sample_affine(
    n: int, config: Augmentation, height: int, width: int, generator: torch.Generator
) -> AffineParameters:
    """Draw a map for each of `n` images of `height` x `width` pixels, uniformly from the ranges of `config`.

    Every image takes seven random numbers whatever is switched on, so that changing one range leaves the
    draws of the others as they were.
    """
    uniform = torch.rand(7, n, generator=generator, device=generator.device)
    theta, tx, ty, shear, zx, zy = 2 * uniform[:6] - 1
    return AffineParameters(
        theta=theta * config.rotation,
        tx=tx * config.width_shift * width,
        ty=ty * config.height_shift * height,
        shear=shear * config.shear,
        zx=1 + zx * config.zoom,
        zy=1 + zy * config.zoom,
        flip=(uniform[6] < 0.5) & config.horizontal_flip,
    )


def apply_affine(
    images: Tensor,
    parameters: AffineParameters,
    fill: Literal["nearest", "reflect", "constant"] = "nearest",
    fill_value: float = 0.0,
) -> Tensor:
    """Apply to each image its own map, with bilinear interpolation.

    Args:
        images: float, (n, channels, height, width).
        parameters: n maps.
        fill: what is read outside the image, as in `Augmentation`.
        fill_value: the value that "constant" reads there.

    Returns:
        A new tensor of the same shape, contiguous in that order.
    """
    height, width = images.shape[2:]
    grid = _sampling_grid(_matrices(parameters).to(images.device), height, width)
    moved = F.grid_sample(images, grid, padding_mode=_PADDING_MODE[fill], align_corners=False)
    if fill != "constant":
        return moved
    return torch.where(_inside(grid, height, width).unsqueeze(1), moved, fill_value)


def _matrices(parameters: AffineParameters) -> Tensor:
    """Return (n, 2, 3): output x and y to input x and y, in pixels from the image's centre.

    The product is rotation · shift · shear · zoom · flip, in Keras' order; the sine and cosine of
    `theta + shear` are what its rotation and shear matrices multiply out to.
    """
    theta = parameters.theta * (math.pi / 180)
    sheared = theta + parameters.shear * (math.pi / 180)
    zx = torch.where(parameters.flip, -parameters.zx, parameters.zx)
    cos, sin = theta.cos(), theta.sin()
    entries = (
        cos * zx,
        -sheared.sin() * parameters.zy,
        cos * parameters.tx - sin * parameters.ty,
        sin * zx,
        sheared.cos() * parameters.zy,
        sin * parameters.tx + cos * parameters.ty,
    )
    return torch.stack(entries, dim=1).view(-1, 2, 3)


def _sampling_grid(matrices: Tensor, height: int, width: int) -> Tensor:
    """Return (n, height, width, 2): where each output pixel is read, -1..1 from edge to edge of the image.

    What depends on the column and what depends on the row are added up last. That is ten times as fast as
    `affine_grid`, and unlike a matrix product it never runs in reduced precision.
    """
    device = matrices.device
    scaled = matrices * torch.tensor([[2 / width], [2 / height]], device=device)
    x = torch.arange(width, device=device) - (width - 1) / 2
    y = torch.arange(height, device=device) - (height - 1) / 2
    along_row = scaled[:, :, 0:1] * x  # (n, 2, width)
    along_column = scaled[:, :, 1:2] * y + scaled[:, :, 2:3]  # (n, 2, height)
    return (along_column.unsqueeze(3) + along_row.unsqueeze(2)).permute(0, 2, 3, 1)


def _inside(grid: Tensor, height: int, width: int) -> Tensor:
    """Return bool (n, height, width): whether a point lies between the centres of the outermost pixels."""
    limit = torch.tensor([1 - 1 / width, 1 - 1 / height], device=grid.device) + _EDGE_TOLERANCE
    return (grid.abs() <= limit).all(dim=3)
