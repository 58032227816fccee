"""Cutout (DeVries & Taylor, 2017, arXiv:1708.04552): a gray square at a random position of each image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tinysight.augmentation.transform import Transform
from tinysight.recipes.search_space import Uniform

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# The paper fills with 0 after normalization, the mean, so that batch statistics hardly change.
MID_GRAY = 127.5


class Cutout(Transform):
    """A gray square at a random position, which may extend beyond the image."""

    order = 50

    cutout: Annotated[int, Uniform(0, 12)] = Field(
        0, ge=0, le=512, description="Side of a gray square at a random position, pixels, 0 to 512."
    )

    @property
    def is_active(self) -> bool:
        """Whether the square has a size."""
        return self.cutout > 0

    def describe(self) -> str:
        """Return the active settings in a few words."""
        return f"cutout {self.cutout} px" if self.cutout else ""

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Fill a square in each image, at its own random position."""
        n, _, height, width = images.shape
        rows, columns = sample_centers(n, height, width, generator)
        return cutout(images, rows, columns, self.cutout)


def sample_centers(n: int, height: int, width: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the row and column of `n` square centers, uniformly over all pixels; int64, (n,) each."""
    import torch

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
    import torch

    height, width = images.shape[2:]
    in_rows = _covered(rows.to(images.device), height, side)
    in_columns = _covered(columns.to(images.device), width, side)
    square = in_rows.unsqueeze(2) & in_columns.unsqueeze(1)  # (n, height, width)
    return torch.where(square.unsqueeze(1), MID_GRAY, images)


def _covered(centers: Tensor, size: int, side: int) -> Tensor:
    """Return a bool (n, size) mask of the `side` positions around each center."""
    import torch

    distance = torch.arange(size, device=centers.device) - (centers.unsqueeze(1) - side // 2)
    return (distance >= 0) & (distance < side)
