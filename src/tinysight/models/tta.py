"""Test-time augmentation (TTA): the views whose logits are averaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tinysight.data.dataset import Pixels


@dataclass(frozen=True)
class View:
    """A horizontal flip, if `flip`, then a shift of `shift` pixels down and right (negative: up and left)."""

    flip: bool = False
    shift: int = 0

    def __call__(self, images: Tensor) -> Tensor:
        """Transform float images (n, 3, height, width); a shift fills the border by reflection."""
        images = images.flip(3) if self.flip else images
        if not self.shift:
            return images
        height, width, margin = *images.shape[2:], abs(self.shift)
        start = margin - self.shift
        return F.pad(images, (margin,) * 4, mode="reflect")[..., start : start + height, start : start + width]


IDENTITY_VIEW = View()


def tta_views(shift: int) -> dict[View, float]:
    """Return the TTA views and their weights, which sum to 1.

    The views are the image and its horizontal flip and, if `shift` is not 0, both shifted by `-shift` and `shift`. The
    unshifted views then have half of the total weight, as in airbench (Jordan, arXiv:2404.00498).
    """
    unshifted = {View(mirrored): 0.5 for mirrored in (False, True)}
    if not shift:
        return unshifted
    shifted = {View(mirrored, offset): 0.125 for mirrored in (False, True) for offset in (-shift, shift)}
    return {view: weight / 2 for view, weight in unshifted.items()} | shifted


Probabilities = NDArray[np.float32]


def average_over_crops(probabilities: Callable[[Pixels], Probabilities], crops: Pixels) -> Probabilities:
    """Return probabilities (n, classes), averaged over the crops of each image.

    Args:
        probabilities: maps images (n, 3, height, width) to probabilities (n, classes).
        crops: (n, crops, 3, height, width). Crops that equal the first one are not predicted again.
    """
    first = probabilities(crops[:, 0])
    total = first.copy()
    for index in range(1, crops.shape[1]):
        differs = (crops[:, index] != crops[:, 0]).any(axis=(1, 2, 3))
        total[~differs] += first[~differs]
        if differs.any():
            total[differs] += probabilities(crops[differs, index])
    mean: Probabilities = total / np.float32(crops.shape[1])
    return mean
