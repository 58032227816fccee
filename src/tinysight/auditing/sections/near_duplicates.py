"""Audit section: near-duplicates, which are copies of an image, shifted, mirrored, recompressed or retouched.

Near-duplicates of training images inflate test accuracy. About 3.3% of CIFAR-10's test images are such (Barz and
Denzler, "Do We Train on Test Data?", Journal of Imaging 6, 2020).

The search is in `tinysight.data.near_duplicates`. Its recall is measured on changed copies of some of the images.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tinysight._util.formatting import percent, percent_interval
from tinysight._util.progress import Progress
from tinysight.auditing.context import SPLITS, AuditContext
from tinysight.auditing.section import AuditSection
from tinysight.data.dataset import Pixels
from tinysight.data.near_duplicates import EXHAUSTIVE_IMAGES, NearDuplicates, find_near_duplicates
from tinysight.evaluation.confidence_intervals import wilson_interval
from tinysight.reporting.section import ListedImage, Row, Table
from tinysight.runs.records import Interval

N_PLANTED = 40  # images of which a copy is planted for every kind of change
_MAX_PAIRS = 50  # near-duplicate pairs listed by name


@dataclass(frozen=True)
class DuplicatePair:
    """A pair of near-duplicate images: their IDs, their distance (0 is identical), and whether one is mirrored."""

    first: str
    second: str
    distance: float
    mirrored: bool


@dataclass(frozen=True)
class PlantedRecall:
    """Recall of the search: changed copies of some images that it joins to their originals.

    Attributes:
        n: number of copies.
        recall: fraction of them that was found, with its interval.
        by_change: fraction found, by the kind of change.
    """

    n: int
    recall: tuple[float, Interval]
    by_change: dict[str, float]


@dataclass(frozen=True)
class DuplicateStatistics:
    """Near-duplicates within and across splits.

    Attributes:
        within_split: by split, the number of pairs within it.
        cross_split: number of test images with a near-duplicate among the training images.
        n_test: number of test images.
        accuracy: on all test images, with its interval; with several labels per image, the share of the images whose
            labels are all correct.
        accuracy_deduplicated: on the test images without a near-duplicate, with its interval.
        pairs: a sample of the pairs, those across splits first, each part sorted by distance.
        n_groups: number of groups of two or more images that pairs join, directly or through others.
        largest_group: number of images of the largest of them.
        planted: recall on planted copies, or None if it was not measured.
        measure: what the accuracies are.
    """

    within_split: dict[str, int]
    cross_split: int
    n_test: int
    accuracy: tuple[float, Interval]
    accuracy_deduplicated: tuple[float, Interval]
    pairs: tuple[DuplicatePair, ...]
    n_groups: int = 0
    largest_group: int = 0
    planted: PlantedRecall | None = None
    measure: Literal["accuracy", "exact match"] = "accuracy"


# Measured on one core, on CIFAR-10: an exhaustive search of 6,000 images, and a search by candidates of 60,000.
_SECONDS_PER_PAIR, _SECONDS_PER_IMAGE = 3e-7, 1.1e-3


class NearDuplicateSection(AuditSection[DuplicateStatistics]):
    """Near-duplicates within and across splits, and the test accuracy without those across."""

    name = "near_duplicates"
    heading = "near-duplicates"
    order, cost = 30, 50
    result_type = DuplicateStatistics

    def estimate_seconds(self, context: AuditContext, prediction_seconds: float) -> float:
        """Return the seconds to search the images of all splits."""
        n = len(context.names)
        return _SECONDS_PER_PAIR * n**2 if n <= EXHAUSTIVE_IMAGES else _SECONDS_PER_IMAGE * n

    def compute(self, context: AuditContext, progress: Progress) -> DuplicateStatistics:
        """Search the images of all splits."""
        duplicates = find_near_duplicates(context.pool.pixels, progress)
        sizes = np.bincount(duplicates.groups(len(context.names)))
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
            n_groups=int((sizes > 1).sum()),
            largest_group=int(sizes.max()) if len(duplicates) else 0,
            planted=measure_recall(context.pool.pixels),
            measure="accuracy" if context.classifier.task == "multi-class" else "exact match",
        )

    def summarize(self, result: DuplicateStatistics) -> str:
        """Return the number of near-duplicates across splits, and the accuracy with and without them."""
        planted = ""
        if result.planted:
            share, interval = result.planted.recall
            planted = f"; search recall {percent(share)} ({percent_interval(interval)}, n = {result.planted.n:,})"
        return (
            f"{result.cross_split:,} of {result.n_test:,} test images have a near-duplicate in train or "
            f"validation; {result.measure} {percent(result.accuracy_deduplicated[0])} without them "
            f"(n = {result.n_test - result.cross_split:,}), {percent(result.accuracy[0])} with them"
            f"{planted}"
        )

    def rows(self, result: DuplicateStatistics, limit: int) -> tuple[Table, ...]:
        """Return pairs of images, those across splits first."""
        rows = tuple(Row(images=(ListedImage(pair.first), ListedImage(pair.second))) for pair in result.pairs[:limit])
        counts = ", ".join(f"{split} {n:,}" for split, n in result.within_split.items())
        note = f"Pairs within a split: {counts}. Test images with a near-duplicate in another: {result.cross_split:,}."
        if result.n_groups:
            note += f" Groups: {result.n_groups:,}, the largest of {result.largest_group:,} images."
        if result.planted:
            share, interval = result.planted.recall
            changes = ", ".join(f"{change} {percent(value)}" for change, value in result.planted.by_change.items())
            note += (
                f" Of {result.planted.n:,} planted copies, the search found {percent(share)} "
                f"({percent_interval(interval)}): {changes}."
            )
        return (Table((), rows, len(result.pairs), "pairs in audit.json", note),)


def measure_recall(pixels: Pixels, seed: int = 0) -> PlantedRecall:
    """Return the recall on changed copies of up to N_PLANTED of the images, (n, 3, height, width)."""
    random = np.random.default_rng(seed)
    sample = random.choice(len(pixels), min(N_PLANTED, len(pixels)), replace=False)
    originals = np.asarray(pixels[np.sort(sample)])
    copies = np.concatenate([change(originals, random) for change in _CHANGES.values()])
    everything = np.concatenate([pixels, copies])
    duplicates = find_near_duplicates(everything, between=len(pixels), exhaustive=len(pixels) <= EXHAUSTIVE_IMAGES)
    pairs = set(map(tuple, duplicates.pairs.tolist()))
    is_found = np.array(
        [(index, len(pixels) + k) in pairs for k, index in enumerate(np.tile(np.sort(sample), len(_CHANGES)))]
    )
    by_change = dict(zip(_CHANGES, is_found.reshape(len(_CHANGES), -1).mean(1).tolist(), strict=True))
    return PlantedRecall(len(copies), _accuracy(is_found), by_change)


def _shift(images: Pixels, random: np.random.Generator) -> Pixels:
    """Shift by 1/32 or 1/16 of the side on both axes, and repeat the border."""
    reach = max(1, images.shape[2] // 16)
    padded = np.pad(images, ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="edge")
    height, width = images.shape[2:]
    offsets = random.integers(1, reach + 1, (len(images), 2)) * random.choice((-1, 1), (len(images), 2)) + reach
    return np.stack(
        [
            image[:, top : top + height, left : left + width]
            for image, (top, left) in zip(padded, offsets.tolist(), strict=True)
        ]
    )


def _mirror(images: Pixels, _: np.random.Generator) -> Pixels:
    return images[:, :, :, ::-1]


def _recompress(images: Pixels, _: np.random.Generator) -> Pixels:
    copies = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "JPEG", quality=60)
        copies.append(np.asarray(Image.open(buffer)).transpose(2, 0, 1))
    return np.stack(copies)


def _add_noise(images: Pixels, random: np.random.Generator) -> Pixels:
    return (images + random.normal(0, 4, images.shape)).clip(0, 255).astype(np.uint8)


def _brighten(images: Pixels, _: np.random.Generator) -> Pixels:
    return (images * 1.1 + 5).clip(0, 255).astype(np.uint8)


_CHANGES: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "shifted": _shift,
    "mirrored": _mirror,
    "recompressed": _recompress,
    "noisy": _add_noise,
    "brighter": _brighten,
}


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
