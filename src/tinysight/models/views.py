"""Test-time augmentation (TTA): the views of an image whose logits are averaged."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class View:
    """An image mirrored left to right or not, then moved down and to the right by `shift` pixels (negative: back)."""

    mirrored: bool = False
    shift: int = 0

    def __call__(self, images: Tensor) -> Tensor:
        """Return float images (n, 3, height, width) as they look so; what is moved in is their mirrored border."""
        images = images.flip(3) if self.mirrored else images
        if not self.shift:
            return images
        height, width, reach = *images.shape[2:], abs(self.shift)
        start = reach - self.shift
        return F.pad(images, (reach,) * 4, mode="reflect")[..., start : start + height, start : start + width]


PLAIN = View()


def tta(shift: int) -> dict[View, float]:
    """Return views and their weights: an image and its mirror image and, with `shift`, both moved two ways.

    The unmoved ones have half of the weight together, as in Jordan's airbench (arXiv:2404.00498).
    """
    still = {View(mirrored): 0.5 for mirrored in (False, True)}
    if not shift:
        return still
    moved = {View(mirrored, way): 0.125 for mirrored in (False, True) for way in (-shift, shift)}
    return {view: weight / 2 for view, weight in still.items()} | moved
