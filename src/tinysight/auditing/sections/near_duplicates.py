"""Audit section: near-duplicates, which are copies of an image, shifted, mirrored, recompressed or retouched.

Near-duplicates of training images inflate test accuracy. About 3.3% of CIFAR-10's test images are such (Barz and
Denzler, "Do We Train on Test Data?", Journal of Imaging 6, 2020).

The search has two steps. Embeddings of all images are compared with each other by cosine similarity; the nearest
neighbors of each image are then compared pixel by pixel, at several shifts.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tinysight._util.formatting import percent
from tinysight._util.progress import SILENT, Progress
from tinysight.auditing.context import SPLITS, AuditContext
from tinysight.auditing.section import AuditSection
from tinysight.data.dataset import Pixels
from tinysight.evaluation.confidence_intervals import wilson_interval
from tinysight.reporting.section import ListedImage, Row, Table
from tinysight.runs.records import Interval

THUMBNAIL_SIZE = 16  # side in pixels
N_COMPONENTS = 64  # principal components of an embedding
N_NEIGHBORS = 4  # neighbors of each image that are compared pixel by pixel, for the image and for its mirror image
MIN_COSINE = 0.5  # least cosine similarity, -1..1, of two embeddings that are compared pixel by pixel
MAX_SHIFT = 2  # largest shift, in pixels of a 32x32 image
MAX_DISTANCE = (
    0.3  # largest RMS difference over contrast of two near-duplicates (docs/experiments/near-duplicate-threshold.md)
)
MIN_CONTRAST = 10.0  # gray levels; flatter images are divided by this instead
_CHUNK = 2000  # images compared with all others at a time
_MAX_PAIRS = 50  # near-duplicate pairs listed by name


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


@torch.inference_mode()
def find_near_duplicates(pixels: Pixels, progress: Progress = SILENT) -> NearDuplicates:
    """Return the near-duplicates among uint8 images, (n, 3, height, width)."""
    embeddings, mirrored = _embed(pixels)
    progress.start("finding near-duplicates", 2 * len(pixels), "images")
    both = [_candidates(embeddings, queries, progress) for queries in (embeddings, mirrored)]
    progress.finish()
    pairs, flipped = np.concatenate(both), np.repeat([False, True], [len(candidates) for candidates in both])
    difference = _differences(torch.from_numpy(pixels), pairs, flipped)
    order = np.argsort(difference, kind="stable")
    order = order[difference[order] <= MAX_DISTANCE]
    _, first = np.unique(pairs[order], axis=0, return_index=True)  # the better of plain and mirrored
    kept = order[np.sort(first)]
    return NearDuplicates(pairs[kept], difference[kept], flipped[kept])


def _embed(pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Return embeddings of each image and of its mirror image, (n, N_COMPONENTS) with norm 1.

    An embedding holds the leading principal components of a thumbnail. They are whitened, so that color, which has the
    largest variance, does not dominate the similarity.
    """
    chunks = torch.from_numpy(pixels).split(_CHUNK)
    small = torch.cat([F.adaptive_avg_pool2d(chunk.float(), THUMBNAIL_SIZE).flatten(1) for chunk in chunks])
    small -= small.mean(0)
    variances, axes = torch.linalg.eigh(small.T @ small / len(small))
    whiten = (axes / variances.clamp_min(1e-3).sqrt())[:, -N_COMPONENTS:]
    mirror = small.view(-1, 3, THUMBNAIL_SIZE, THUMBNAIL_SIZE).flip(3).flatten(1)
    return F.normalize(small @ whiten), F.normalize(mirror @ whiten)


def _candidates(embeddings: Tensor, queries: Tensor, progress: Progress) -> NDArray[np.int64]:
    """Return the pairs of each image with the nearest neighbors of its query, (m, 2), the smaller index first."""
    pairs = []
    for start in range(0, len(queries), _CHUNK):
        similarity = queries[start : start + _CHUNK] @ embeddings.T
        own = torch.arange(start, start + len(similarity))
        similarity[own - start, own] = -1.0
        top, neighbors = similarity.topk(min(N_NEIGHBORS, len(embeddings)), dim=1)
        rows, columns = (top > MIN_COSINE).nonzero(as_tuple=True)
        pairs.append(torch.stack([own[rows], neighbors[rows, columns]], dim=1))
        progress.advance(len(similarity))
    unique: NDArray[np.int64] = np.unique(torch.cat(pairs).sort(1).values.numpy(), axis=0)
    return unique


def _differences(pixels: Tensor, pairs: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the difference of the images of each pair at the best shift, (m,)."""
    flip = torch.from_numpy(mirrored)[:, None, None, None]
    chunks = [torch.empty(0)]
    for rows, flips in zip(torch.from_numpy(pairs).split(_CHUNK), flip.split(_CHUNK), strict=True):
        first, second = _smooth(pixels[rows[:, 0]]), _smooth(pixels[rows[:, 1]])
        chunks.append(_shifted_difference(first, torch.where(flips, second.flip(3), second)))
    differences: NDArray[np.float32] = torch.cat(chunks).numpy()
    return differences


def _smooth(pixels: Tensor) -> Tensor:
    """Return the images after a 3x3 mean filter, which removes most compression artifacts."""
    return F.avg_pool2d(F.pad(pixels.float(), (1,) * 4, mode="replicate"), 3, stride=1)


def _shifted_difference(first: Tensor, second: Tensor) -> Tensor:
    """Return the least RMS difference over contrast of the center of `first` from all windows of `second`, (n,)."""
    height, width = first.shape[2:]
    shift = max(1, MAX_SHIFT * height // 32)
    middle = _center(first[:, :, shift:-shift, shift:-shift])
    least = torch.full((len(first),), float("inf"))
    for top, left in product(range(2 * shift + 1), repeat=2):
        window = _center(second[:, :, top : top + height - 2 * shift, left : left + width - 2 * shift])
        contrast = ((_mean_square(middle) + _mean_square(window)) / 2).sqrt().clamp_min(MIN_CONTRAST)
        least = torch.minimum(least, _mean_square(middle - window).sqrt() / contrast)
    return least


def _center(images: Tensor) -> Tensor:
    return images - images.mean((1, 2, 3), keepdim=True)


def _mean_square(images: Tensor) -> Tensor:
    return images.square().mean((1, 2, 3))


@dataclass(frozen=True)
class DuplicatePair:
    """A pair of near-duplicate images: their IDs, their distance (0 is identical), and whether one is mirrored."""

    first: str
    second: str
    distance: float
    mirrored: bool


@dataclass(frozen=True)
class DuplicateStatistics:
    """Near-duplicates within and across splits.

    Attributes:
        within_split: by split, the number of pairs within it.
        cross_split: number of test images with a near-duplicate among the training images.
        n_test: number of test images.
        accuracy: on all test images, with its interval.
        accuracy_deduplicated: on the test images without a near-duplicate, with its interval.
        pairs: a sample of the pairs, those across splits first, each part sorted by distance.
    """

    within_split: dict[str, int]
    cross_split: int
    n_test: int
    accuracy: tuple[float, Interval]
    accuracy_deduplicated: tuple[float, Interval]
    pairs: tuple[DuplicatePair, ...]


class NearDuplicateSection(AuditSection[DuplicateStatistics]):
    """Near-duplicates within and across splits, and the test accuracy without those across."""

    name = "near_duplicates"
    heading = "near-duplicates"
    order, cost = 30, 50
    result_type = DuplicateStatistics

    def compute(self, context: AuditContext, progress: Progress) -> DuplicateStatistics:
        """Search the images of all splits."""
        duplicates = find_near_duplicates(context.pool.pixels, progress)
        splits = context.splits[duplicates.pairs]  # (k, 2), in the order train, validation, test
        across = (splits[:, 1] == "test") & (splits[:, 0] != "test")
        leaked = np.unique(duplicates.pairs[across, 1]) - (len(context.names) - len(context.correct))  # test indices
        clean = np.ones(len(context.correct), dtype=bool)
        clean[leaked] = False
        return DuplicateStatistics(
            within_split={split: int(((splits == split).all(1)).sum()) for split in SPLITS},
            cross_split=len(leaked),
            n_test=len(clean),
            accuracy=_accuracy(context.correct),
            accuracy_deduplicated=_accuracy(context.correct[clean]),
            pairs=_pairs(duplicates, np.argsort(~across, kind="stable")[:_MAX_PAIRS], context.names),
        )

    def summarize(self, result: DuplicateStatistics) -> str:
        """Return the number of near-duplicates across splits, and the accuracy with and without them."""
        return (
            f"{result.cross_split:,} of {result.n_test:,} test images have a near-duplicate among the training or "
            f"validation images; accuracy {percent(result.accuracy_deduplicated[0])} without them "
            f"(n = {result.n_test - result.cross_split:,}), {percent(result.accuracy[0])} with them"
        )

    def rows(self, result: DuplicateStatistics, limit: int) -> tuple[Table, ...]:
        """Return pairs of images, those across splits first."""
        rows = tuple(Row(images=(ListedImage(pair.first), ListedImage(pair.second))) for pair in result.pairs[:limit])
        counts = ", ".join(f"{split} {n:,}" for split, n in result.within_split.items())
        note = f"Pairs within a split: {counts}. Test images with a near-duplicate in another: {result.cross_split:,}."
        return (Table((), rows, len(result.pairs), "pairs in audit.json", note),)


def _accuracy(correct: NDArray[np.bool_]) -> tuple[float, Interval]:
    n_correct = int(correct.sum())
    return n_correct / max(len(correct), 1), wilson_interval(n_correct, len(correct))


def _pairs(duplicates: NearDuplicates, rows: NDArray[np.intp], names: tuple[str, ...]) -> tuple[DuplicatePair, ...]:
    return tuple(
        DuplicatePair(names[first], names[second], round(float(difference), 4), bool(mirrored))
        for (first, second), difference, mirrored in zip(
            duplicates.pairs[rows], duplicates.distance[rows], duplicates.mirrored[rows], strict=True
        )
    )
