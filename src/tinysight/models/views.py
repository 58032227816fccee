"""Test-time augmentation (TTA): the views whose logits are averaged."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class View:
    """A horizontal flip, if `mirrored`, then a shift of `shift` pixels down and right (negative: up and left)."""

    mirrored: bool = False
    shift: int = 0

    def __call__(self, images: Tensor) -> Tensor:
        """Transform float images (n, 3, height, width); a shift fills the border by reflection."""
        images = images.flip(3) if self.mirrored else images
        if not self.shift:
            return images
        height, width, margin = *images.shape[2:], abs(self.shift)
        start = margin - self.shift
        return F.pad(images, (margin,) * 4, mode="reflect")[..., start : start + height, start : start + width]


PLAIN = View()


def tta(shift: int) -> dict[View, float]:
    """Return the TTA views and their weights, which sum to 1.

    The views are the image and its horizontal flip and, if `shift` is not 0, both shifted by `-shift` and `shift`. The
    unshifted views then have half of the total weight, as in airbench (Jordan, arXiv:2404.00498).
    """
    unshifted = {View(mirrored): 0.5 for mirrored in (False, True)}
    if not shift:
        return unshifted
    shifted = {View(mirrored, offset): 0.125 for mirrored in (False, True) for offset in (-shift, shift)}
    return {view: weight / 2 for view, weight in unshifted.items()} | shifted
