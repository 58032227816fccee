"""Audit sections that need no shadow models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tinysight._util.errors import DataError
from tinysight._util.progress import Progress
from tinysight.audit.context import SPLITS, AuditContext
from tinysight.audit.near_duplicates import NearDuplicates, find_near_duplicates
from tinysight.audit.subgroups import GroupNames, find_subgroup_gaps, property_subgroups, terciles
from tinysight.data.dataset import Split
from tinysight.data.image_ids import IMAGE_COLUMN, check_ids, image_ids, read_rows
from tinysight.evaluation.confidence_intervals import wilson_interval
from tinysight.evaluation.ood import measure_ood_detection
from tinysight.evaluation.robustness import measure_robustness
from tinysight.runs.audit_results import (
    DuplicatePair,
    DuplicateStatistics,
    OodDetection,
    Robustness,
    SubgroupGap,
)
from tinysight.runs.records import Interval

MAX_CORRUPTED = 2000  # at most so many test images are corrupted, each in every way
_MAX_PAIRS = 50  # near-duplicate pairs listed by name


def corruption_robustness(context: AuditContext, progress: Progress) -> Robustness:
    """Return the accuracy on corrupted test images (at most `CORRUPTED`)."""
    test = context.dataset.test
    sample = np.random.default_rng(0).permutation(len(test))[:MAX_CORRUPTED]
    return measure_robustness(context.classifier, Split(test.pixels[sample], test.labels[sample]), progress=progress)


def out_of_distribution(context: AuditContext, progress: Progress) -> OodDetection:
    """Return how well the classifier separates out-of-distribution images from test images."""
    pixels = context.dataset.test.pixels[:MAX_CORRUPTED]
    return measure_ood_detection(context.classifier, pixels, context.dataset.name)


def near_duplicates(context: AuditContext, progress: Progress) -> DuplicateStatistics:
    """Return the near-duplicates within and across splits, and the test accuracy without those across."""
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


def subgroup_gaps(context: AuditContext, progress: Progress) -> tuple[SubgroupGap, ...]:
    """Return the gaps between subgroups that are computed from the pixels and, for files, the original size."""
    columns = property_subgroups(context.dataset.test.pixels)
    if context.dataset.folder:
        columns["original size"] = terciles(original_side_lengths(context.dataset.folder, context.dataset.test.files))
    return _gaps(context, columns)


def subgroup_gaps_from_csv(groups: Path, context: AuditContext) -> tuple[SubgroupGap, ...]:
    """Return the gaps between the groups of a CSV file with a column `image` and at least one more.

    Raises:
        DataError: the file has no such columns, or names images that are not in the test set.
    """
    rows = read_rows(groups)
    names = image_ids(context.dataset.test, "test")
    check_ids([row[IMAGE_COLUMN] for row in rows], frozenset(names), groups, f"the test set of {context.dataset.name}")
    index_of = {name: index for index, name in enumerate(names)}
    columns = {column: np.full(len(names), "", dtype=object) for column in rows[0] if column and column != IMAGE_COLUMN}
    if not columns:
        raise DataError(f"{groups}: no column of groups beside {IMAGE_COLUMN!r}. Add one, such as `age` or `camera`.")
    for row in rows:
        for column, values in columns.items():
            values[index_of[row[IMAGE_COLUMN]]] = row[column].strip()
    return _gaps(context, columns)


def original_side_lengths(folder: Path, files: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the square root of each file's width x height in pixels, before resizing, float64 (n,)."""
    sizes = []
    for file in files:
        with Image.open(folder / file) as image:
            sizes.append(float(np.sqrt(image.width * image.height)))
    return np.array(sizes)


def _gaps(subject: AuditContext, columns: dict[str, GroupNames]) -> tuple[SubgroupGap, ...]:
    return find_subgroup_gaps(columns, subject.dataset.test.labels, subject.predicted, subject.dataset.class_names)


def _accuracy(correct: NDArray[np.bool_]) -> tuple[float, Interval]:
    n_correct = int(correct.sum())
    return (n_correct / len(correct), wilson_interval(n_correct, len(correct))) if len(correct) else (0.0, (0.0, 1.0))


def _pairs(duplicates: NearDuplicates, rows: NDArray[np.intp], names: tuple[str, ...]) -> tuple[DuplicatePair, ...]:
    return tuple(
        DuplicatePair(names[first], names[second], round(float(difference), 4), bool(mirrored))
        for (first, second), difference, mirrored in zip(
            duplicates.pairs[rows], duplicates.distance[rows], duplicates.mirrored[rows], strict=True
        )
    )


SECTIONS: dict[str, Callable[[AuditContext, Progress], object]] = {
    "ood": out_of_distribution,
    "robustness": corruption_robustness,
    "subgroups": subgroup_gaps,
    "near_duplicates": near_duplicates,
}
"""Sections by their field in audit.json, fastest first."""
