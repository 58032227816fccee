"""Search for near-duplicates: copies of an image, shifted, mirrored, recompressed, retouched, or noisy.

Two images are compared pixel by pixel at all shifts of up to `MAX_SHIFT`, after a mean filter. Up to
`EXHAUSTIVE_IMAGES` images, every pair is considered: block means of the images give a lower bound of the difference, so
that almost all pairs need no comparison of pixels, and no pair is missed. In larger sets, only the nearest neighbors by
an embedding are compared. If an image has more than `MAX_PER_IMAGE` pairs, some pairs are omitted, but the groups stay
the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Pixels

EXHAUSTIVE_IMAGES = 10_000  # more images are searched by candidates; this many take less than a minute
MAX_SIDE = 64  # larger images are compared at COMPARED_SIDE
COMPARED_SIDE = 32
MAX_SHIFT = 2  # largest shift, in pixels of a 32x32 image
MAX_DISTANCE = (
    0.3  # largest RMS difference over contrast of two near-duplicates (docs/experiments/near-duplicate-threshold.md)
)
MIN_CONTRAST = 10.0  # gray levels; flatter images are divided by this instead
MAX_PER_IMAGE = 16  # pairs of an image with each chunk of others; bounds the time where all images are alike
N_BLOCKS = 7  # blocks on each axis, whose means bound the difference from below

THUMBNAIL_SIZE = 16  # side in pixels
N_COMPONENTS = 64  # principal components of an embedding
NOISE_VARIANCE = 50.0  # squared gray levels of a thumbnail; components of less variance are mostly noise
N_NEIGHBORS = 8  # neighbors of each image that are compared pixel by pixel, for every query
MIN_COSINE = 0.5  # least cosine similarity, -1..1, of two embeddings that are compared pixel by pixel
_CHUNK = 2000  # images compared with all others at a time


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of near-duplicates, the smallest difference first.

    Attributes:
        pairs: int64, (k, 2), indices of the images, the smaller index first.
        distance: (k,), RMS difference where the images overlap, divided by their contrast; 0 for equal images.
        mirrored: bool, (k,), whether one image is mirrored.
    """

    pairs: NDArray[np.int64]
    distance: NDArray[np.float32]
    mirrored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pairs)

    def groups(self, n: int) -> NDArray[np.int64]:
        """Return the group of each of `n` images: (n,), equal numbers for images joined by pairs, directly or not."""
        edges = coo_array((np.ones(len(self)), (self.pairs[:, 0], self.pairs[:, 1])), shape=(n, n))
        labels: NDArray[np.int64] = connected_components(edges, directed=False)[1].astype(np.int64)
        return labels


@torch.inference_mode()
def find_near_duplicates(
    pixels: Pixels, progress: Progress = SILENT, *, between: int | None = None, exhaustive: bool | None = None
) -> NearDuplicates:
    """Return the near-duplicates among uint8 images, (n, 3, height, width).

    Args:
        pixels: the images.
        progress: receives the number of images compared.
        between: search only pairs of one of the first `between` images and one of the others.
        exhaustive: compare every pair; by default up to `EXHAUSTIVE_IMAGES` images.
    """
    if exhaustive is None:
        exhaustive = len(pixels) <= EXHAUSTIVE_IMAGES
    images = _reduced(pixels)
    search = _all_candidates if exhaustive else _nearest_candidates
    keys = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *search(images, between or 0, progress)]))
    progress.finish()
    if between is not None:
        first, second = keys // 2 // len(pixels), keys // 2 % len(pixels)
        keys = keys[(first < between) & (second >= between)]
    pairs, flipped = np.stack(np.divmod(keys // 2, max(1, len(pixels))), axis=1), keys % 2 == 1
    difference = _differences(images, pairs, flipped)
    order = np.argsort(difference, kind="stable")
    order = order[difference[order] <= MAX_DISTANCE]
    _, best = np.unique(pairs[order], axis=0, return_index=True)  # the better of plain and mirrored
    kept = order[np.sort(best)]
    return NearDuplicates(pairs[kept], difference[kept], flipped[kept])


def _reduced(pixels: Pixels) -> Tensor:
    """Return the images, uint8; those larger than MAX_SIDE at COMPARED_SIDE."""
    if not len(pixels) or max(pixels.shape[2:]) <= MAX_SIDE:
        return torch.from_numpy(np.asarray(pixels))
    chunks = (torch.from_numpy(np.array(pixels[at : at + _CHUNK])) for at in range(0, len(pixels), _CHUNK))
    return torch.cat([F.adaptive_avg_pool2d(chunk.float(), COMPARED_SIDE).round().to(torch.uint8) for chunk in chunks])


def _keys(first: Tensor, second: Tensor, flipped: bool, n: int) -> NDArray[np.int64]:
    """Return a number for each pair of different images and its mirroring; it sorts like the pairs."""
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    keys: NDArray[np.int64] = ((low * n + high) * 2 + int(flipped))[low < high].numpy()
    return keys


def _all_candidates(images: Tensor, between: int, progress: Progress) -> Iterator[NDArray[np.int64]]:
    """Yield the keys of all pairs whose lower bound of the difference is below the limit.

    For orthonormal P, |Pa - Pb| <= |a - b|. A pair can only be a near-duplicate if at some shift
    |Pa|^2 + |Pb|^2 - 2 Pa.Pb <= n_pixels * MAX_DISTANCE^2 * contrast^2. With an upper bound of the contrast that is a
    sum over both images, one matrix product tests a chunk of pairs.
    """
    n = len(images)
    progress.start("finding near-duplicates", n - between, "images")
    rows_end = between or n
    for start in range(between, n, _CHUNK):
        columns = _smooth(images[start : start + _CHUNK])
        sides = [_bounds(side, all_shifts=True) for side in (columns, columns.flip(3))]
        for top in range(0, min(rows_end, start + len(columns)), _CHUNK):
            rows = _smooth(images[top : min(top + _CHUNK, rows_end)])
            (middle,) = _bounds(rows, all_shifts=False)
            left = torch.cat([-2 * middle[:, :-2], middle[:, -1:], middle[:, -2:-1]], dim=1)
            for flipped, windows in enumerate(sides):
                yield _within_bound(left, windows, top, start, flipped == 1, n)
        progress.advance(len(columns))


def _bounds(images: Tensor, all_shifts: bool) -> list[Tensor]:
    """Return a tensor for the middle window, or for every window: its projection, ones, and the terms of one image.

    The projection holds the means of the blocks of the centered window, scaled so that its rows are orthonormal.
    """
    shift, n, (height, width) = _shift(images), len(images), images.shape[2:]
    offsets = range(2 * shift + 1) if all_shifts else (shift,)
    images = _center(images)  # smaller numbers, smaller rounding errors
    rows, columns = _block_axes(height - 2 * shift), _block_axes(width - 2 * shift)
    size, scale = 3 * len(rows) * len(columns), (rows.sum(0)[:, None] * columns.sum(0)).repeat(3, 1, 1)
    everywhere = [
        torch.cat([F.pad(axes, (0, 0, at, 2 * shift - at)) for at in offsets], dim=1) for axes in (rows, columns)
    ]
    sums = everywhere[0].T @ (images @ everywhere[1])  # (n, 3, offsets * blocks, offsets * blocks)
    sums = sums.view(n, 3, len(offsets), rows.shape[1], len(offsets), columns.shape[1]).permute(2, 4, 0, 1, 3, 5)
    squares = _window_sums(images.square().sum(1), shift) / size
    bounds = []
    for (i, top), (j, left) in product(enumerate(offsets), repeat=2):
        mean = (sums[i, j] * scale).sum((1, 2, 3), keepdim=True) / size
        blocks = (sums[i, j] - mean * scale).flatten(1)
        variance = squares[:, top, left] - mean.flatten().square()
        own = blocks.square().sum(1) - MAX_DISTANCE**2 * size * variance.clamp_min(MIN_CONTRAST**2) / 2
        bounds.append(torch.cat([blocks, torch.ones(n, 1), own[:, None]], dim=1))
    return bounds


def _window_sums(values: Tensor, shift: int) -> Tensor:
    """Return the sums of (n, height, width) over the windows at all shifts, (n, 2 * shift + 1, 2 * shift + 1)."""
    rows, columns = (torch.ones(side, 2 * shift + 1).tril().triu(2 * shift + 1 - side) for side in values.shape[1:])
    return rows.T @ values @ columns


def _block_axes(side: int) -> Tensor:
    """Return orthonormal columns that average over up to N_BLOCKS runs of pixels, (side, blocks)."""
    axes = torch.zeros(side, min(N_BLOCKS, side))
    for block, indices in enumerate(np.array_split(np.arange(side), axes.shape[1])):
        axes[torch.from_numpy(indices), block] = len(indices) ** -0.5
    return axes


def _within_bound(
    left: Tensor, windows: list[Tensor], top: int, start: int, flipped: bool, n: int
) -> NDArray[np.int64]:
    least = torch.full((len(left), len(windows[0])), float("inf"))
    bound = torch.empty_like(least)
    for window in windows:
        torch.minimum(least, torch.mm(left, window.T, out=bound), out=least)
    is_below = least <= 1.0  # rounding errors of float32 stay below 1
    if start < top + len(left):  # each pair once
        first = torch.arange(top, top + len(left))[:, None]
        is_below &= first < torch.arange(start, start + least.shape[1])
    crowded = (is_below.sum(1) > MAX_PER_IMAGE).nonzero().flatten()
    if len(crowded):
        scores = least[crowded].masked_fill(~is_below[crowded], float("inf"))
        nearest = scores.topk(MAX_PER_IMAGE, dim=1, largest=False).indices
        is_below[crowded] &= torch.zeros_like(is_below[crowded]).scatter_(1, nearest, True)
    rows, columns = is_below.nonzero(as_tuple=True)
    return _keys(rows + top, columns + start, flipped, n)


def _nearest_candidates(images: Tensor, between: int, progress: Progress) -> Iterator[NDArray[np.int64]]:
    """Yield the keys of the pairs of each image with the nearest neighbors of its shifted and mirrored copies."""
    n, shift = len(images), _shift(images)
    shifts = [(0, 0), *((down, right) for down in (-shift, shift) for right in (-shift, shift))]
    first_query = between  # the neighbors of the others are searched among the first images
    plain = _thumbnails(images, (0, 0))
    mean = plain.mean(0)
    variances, axes = torch.linalg.eigh((plain - mean).T @ (plain - mean) / n)
    variances = variances.clamp_min(0)
    whiten = (axes * variances.sqrt() / (variances + NOISE_VARIANCE))[:, -N_COMPONENTS:]
    embeddings = F.normalize((plain - mean) @ whiten)[: between or n]
    progress.start("finding near-duplicates", 2 * len(shifts) * (n - first_query), "images")
    for offset, flipped in product(shifts, (False, True)):
        thumbnails = _thumbnails(images[first_query:], offset)
        if flipped:
            thumbnails = thumbnails.view(-1, 3, THUMBNAIL_SIZE, THUMBNAIL_SIZE).flip(3).flatten(1)
        queries = F.normalize((thumbnails - mean) @ whiten)
        for start in range(0, len(queries), _CHUNK):
            similarity = queries[start : start + _CHUNK] @ embeddings.T
            own = torch.arange(len(similarity)) + start + first_query
            if not between:
                similarity[own - start, own] = -1.0
            top, neighbors = similarity.topk(min(N_NEIGHBORS, len(embeddings)), dim=1)
            rows, columns = (top > MIN_COSINE).nonzero(as_tuple=True)
            yield _keys(own[rows], neighbors[rows, columns], flipped, n)
            progress.advance(len(similarity))


def _thumbnails(images: Tensor, offset: tuple[int, int]) -> Tensor:
    """Return flattened thumbnails of the images after a shift by `offset` pixels."""
    reach = max(map(abs, offset))
    height, width = images.shape[2:]
    top, left = reach + offset[0], reach + offset[1]
    small = []
    for chunk in images.split(_CHUNK):
        padded = F.pad(chunk.float(), (reach,) * 4, mode="replicate") if reach else chunk.float()
        small.append(F.adaptive_avg_pool2d(padded[:, :, top : top + height, left : left + width], THUMBNAIL_SIZE))
    return torch.cat(small).flatten(1)


def _differences(images: Tensor, pairs: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the difference of the images of each pair at the best shift, (m,)."""
    flip = torch.from_numpy(mirrored)[:, None, None, None]
    chunks = [torch.empty(0)]
    for rows, flips in zip(torch.from_numpy(pairs).split(_CHUNK), flip.split(_CHUNK), strict=True):
        first, second = _smooth(images[rows[:, 0]]), _smooth(images[rows[:, 1]])
        chunks.append(_shifted_difference(first, torch.where(flips, second.flip(3), second)))
    differences: NDArray[np.float32] = torch.cat(chunks).numpy()
    return differences


def _smooth(images: Tensor) -> Tensor:
    """Return the images after a 3x3 mean filter, which removes most compression artifacts."""
    return F.avg_pool2d(F.pad(images.float(), (1,) * 4, mode="replicate"), 3, stride=1)


def _shifted_difference(first: Tensor, second: Tensor) -> Tensor:
    """Return the least RMS difference over contrast of the center of `first` from all windows of `second`, (n,).

    The best shift is found from sums and products, and the difference at that shift is computed exactly.
    """
    middle, second, shift = _center(_middle(first)), _center(second), _shift(second)
    size, windows = middle.shape[1:].numel(), _windows(second)
    mean, square = (_window_sums(values.sum(1), shift).flatten(1) / size for values in (second, second.square()))
    variance = square - mean.square()
    own = _mean_square(middle)[:, None]
    products = torch.stack([(middle * window).sum((1, 2, 3)) for window in windows], dim=1) / size
    ratio = (own + variance - 2 * products) / ((own + variance) / 2).clamp_min(MIN_CONTRAST**2)
    top, left = np.divmod(ratio.argmin(1).numpy(), 2 * shift + 1)
    height, width = middle.shape[2:]
    rows = torch.from_numpy(top)[:, None] + torch.arange(height)
    columns = torch.from_numpy(left)[:, None] + torch.arange(width)
    chosen = second[torch.arange(len(second))[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    window = _center(chosen.permute(0, 3, 1, 2))
    contrast = ((_mean_square(middle) + _mean_square(window)) / 2).sqrt().clamp_min(MIN_CONTRAST)
    return _mean_square(middle - window).sqrt() / contrast


def _shift(images: Tensor) -> int:
    return max(1, MAX_SHIFT * images.shape[2] // 32)


def _middle(images: Tensor) -> Tensor:
    shift = _shift(images)
    return images[:, :, shift:-shift, shift:-shift]


def _windows(images: Tensor) -> list[Tensor]:
    """Return the windows of the size of the middle, at all shifts."""
    shift, (height, width) = _shift(images), images.shape[2:]
    return [
        images[:, :, top : top + height - 2 * shift, left : left + width - 2 * shift]
        for top, left in product(range(2 * shift + 1), repeat=2)
    ]


def _center(images: Tensor) -> Tensor:
    return images - images.mean((1, 2, 3), keepdim=True)


def _mean_square(images: Tensor) -> Tensor:
    return images.square().mean((1, 2, 3))
