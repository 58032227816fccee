"""Near-twins: images that are the same picture, moved a little, mirrored, re-compressed or touched up.

Twins of training images in a test set make a classifier look better than it is. CIFAR-10 has them: about 3.3 % of its
test images (Barz and Denzler, "Do We Train on Test Data?", Journal of Imaging 6, 2020).

The search has two steps. All images are held against all, by a few dozen numbers each; the nearest few of every image
are then laid over each other, pixel by pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tinysight.data.dataset import Pixels
from tinysight.progress import SILENT, Progress

THUMBNAIL = 16  # pixels a side
NUMBERS = 64  # that an image is told by
NEAREST = 4  # images that each may be laid over, as it is and mirrored
PROMISING = 0.5  # similarity of these numbers, -1..1, from which two images are laid over each other
SHIFT = 2  # pixels of images of 32 x 32, by which one may be moved over the other
LIKE = 0.3  # root mean square difference, over contrast, up to which two images are twins (docs/experiments.md)
LEAST_CONTRAST = 10.0  # grey levels; below that, differences are counted against this
_ROWS = 2000  # images that are held against all at once


@dataclass(frozen=True)
class Twins:
    """Pairs of near-twins, the most alike first.

    Attributes:
        pairs: int64, (k, 2), indices of the images, the smaller first.
        difference: (k,), root mean square difference where they overlap, over their contrast; 0 is the same image.
        mirrored: bool, (k,), whether one is the mirror image of the other.
    """

    pairs: NDArray[np.int64]
    difference: NDArray[np.float32]
    mirrored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pairs)


@torch.inference_mode()
def find_twins(pixels: Pixels, progress: Progress = SILENT) -> Twins:
    """Return the near-twins among uint8 images, (n, 3, height, width)."""
    told, mirrored = _told(pixels)
    progress.start("looking for twins", 2 * len(pixels), "images")
    both = [_candidates(told, query, progress) for query in (told, mirrored)]
    progress.finish()
    pairs, flipped = np.concatenate(both), np.repeat([False, True], [len(candidates) for candidates in both])
    difference = _differences(torch.from_numpy(pixels), pairs, flipped)
    order = np.argsort(difference, kind="stable")
    order = order[difference[order] <= LIKE]
    _, first = np.unique(pairs[order], axis=0, return_index=True)  # the better of as it is and mirrored
    kept = order[np.sort(first)]
    return Twins(pairs[kept], difference[kept], flipped[kept])


def _told(pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Return each image and its mirror image by a few numbers, (n, NUMBERS) of length 1.

    They are the leading principal components of all thumbnails, made equally important, so that two blue skies are
    not alike for being blue.
    """
    small = torch.cat([_thumbnails(part) for part in torch.from_numpy(pixels).split(_ROWS)])
    small -= small.mean(0)
    variances, axes = torch.linalg.eigh(small.T @ small / len(small))
    whiten = (axes / variances.clamp_min(1e-3).sqrt())[:, -NUMBERS:]
    mirror = small.view(-1, 3, THUMBNAIL, THUMBNAIL).flip(3).flatten(1)
    return F.normalize(small @ whiten), F.normalize(mirror @ whiten)


def _thumbnails(pixels: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(pixels.float(), THUMBNAIL).flatten(1)


def _candidates(told: Tensor, query: Tensor, progress: Progress) -> NDArray[np.int64]:
    """Return (m, 2): each image with those of the others that are nearest to its query, the smaller index first."""
    found = []
    for start in range(0, len(query), _ROWS):
        similarity = query[start : start + _ROWS] @ told.T
        own = torch.arange(start, start + len(similarity))
        similarity[own - start, own] = -1.0
        most, near = similarity.topk(min(NEAREST, len(told)), dim=1)
        row, place = (most > PROMISING).nonzero(as_tuple=True)
        found.append(torch.stack([own[row], near[row, place]], dim=1))
        progress.advance(len(similarity))
    unique: NDArray[np.int64] = np.unique(torch.cat(found).sort(1).values.numpy(), axis=0)
    return unique


def _differences(pixels: Tensor, pairs: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return (m,): how much the images of each pair differ, where one lies on the other best."""
    flip = torch.from_numpy(mirrored)[:, None, None, None]
    found = [torch.empty(0)]
    for part, flips in zip(torch.from_numpy(pairs).split(_ROWS), flip.split(_ROWS), strict=True):
        one, other = _smoothed(pixels[part[:, 0]]), _smoothed(pixels[part[:, 1]])
        found.append(_difference(one, torch.where(flips, other.flip(3), other)))
    differences: NDArray[np.float32] = torch.cat(found).numpy()
    return differences


def _smoothed(pixels: Tensor) -> Tensor:
    """Return each pixel as the mean of itself and its neighbours, in which little is left of what compression adds."""
    return F.avg_pool2d(F.pad(pixels.float(), (1,) * 4, mode="replicate"), 3, stride=1)


def _difference(one: Tensor, other: Tensor) -> Tensor:
    """Return (n,): the least difference over contrast, of all ways to lay the middle of one image over the other."""
    height, width = one.shape[2:]
    shift = max(1, SHIFT * height // 32)
    middle = _centred(one[:, :, shift:-shift, shift:-shift])
    least = torch.full((len(one),), float("inf"))
    for top, left in product(range(2 * shift + 1), repeat=2):
        window = _centred(other[:, :, top : top + height - 2 * shift, left : left + width - 2 * shift])
        contrast = ((_mean_square(middle) + _mean_square(window)) / 2).sqrt().clamp_min(LEAST_CONTRAST)
        least = torch.minimum(least, _mean_square(middle - window).sqrt() / contrast)
    return least


def _centred(images: Tensor) -> Tensor:
    return images - images.mean((1, 2, 3), keepdim=True)


def _mean_square(images: Tensor) -> Tensor:
    return images.square().mean((1, 2, 3))
