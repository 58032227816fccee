"""Audit sections that need no shadow models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tinysight.audit.groups import Groups, find_gaps
from tinysight.audit.slices import slices, thirds
from tinysight.audit.subject import SPLITS, Subject
from tinysight.audit.twins import Twins, find_twins
from tinysight.data.dataset import Part
from tinysight.data.names import COLUMN, names_of, read_rows, require_known
from tinysight.errors import DataError
from tinysight.evaluation.intervals import wilson_interval
from tinysight.evaluation.robustness import measure_robustness
from tinysight.evaluation.strangers import measure_strangeness
from tinysight.progress import Progress
from tinysight.runs.findings import Duplicates, Gap, Interval, Pair, Robustness, Strangeness

CORRUPTED = 2000  # at most so many test images are corrupted, each in every way
_MAX_PAIRS = 50  # near-duplicate pairs listed by name


def robustness(subject: Subject, progress: Progress) -> Robustness:
    """Return the accuracy on corrupted test images (at most `CORRUPTED`)."""
    test = subject.dataset.test
    sample = np.random.default_rng(0).permutation(len(test))[:CORRUPTED]
    return measure_robustness(subject.classifier, Part(test.pixels[sample], test.labels[sample]), progress=progress)


def strangers(subject: Subject, progress: Progress) -> Strangeness:
    """Return how well the classifier separates out-of-distribution images from test images."""
    pixels = subject.dataset.test.pixels[:CORRUPTED]
    return measure_strangeness(subject.classifier, pixels, subject.dataset.name)


def duplicates(subject: Subject, progress: Progress) -> Duplicates:
    """Return the near-duplicates within and across splits, and the test accuracy without those across."""
    duplicates = find_twins(subject.pool.pixels, progress)
    splits = subject.splits[duplicates.pairs]  # (k, 2), in the order train, validation, test
    across = (splits[:, 1] == "test") & (splits[:, 0] != "test")
    leaked = np.unique(duplicates.pairs[across, 1]) - (len(subject.names) - len(subject.correct))  # test indices
    clean = np.ones(len(subject.correct), dtype=bool)
    clean[leaked] = False
    return Duplicates(
        within={split: int(((splits == split).all(1)).sum()) for split in SPLITS},
        across=len(leaked),
        test=len(clean),
        accuracy=_accuracy(subject.correct),
        accuracy_without=_accuracy(subject.correct[clean]),
        pairs=_pairs(duplicates, np.argsort(~across, kind="stable")[:_MAX_PAIRS], subject.names),
    )


def gaps(subject: Subject, progress: Progress) -> tuple[Gap, ...]:
    """Return the gaps between subgroups that are computed from the pixels and, for files, the original size."""
    columns = slices(subject.dataset.test.pixels)
    folder = Path(subject.run.environment().dataset.argument)
    if subject.dataset.test.files:
        columns["original size"] = thirds(original_sides(folder, subject.dataset.test.files))
    return _gaps(subject, columns)


def gaps_of(groups: Path, subject: Subject) -> tuple[Gap, ...]:
    """Return the gaps between the groups of a CSV file with a column `image` and at least one more.

    Raises:
        DataError: the file has no such columns, or names images that are not in the test set.
    """
    rows = read_rows(groups)
    names = names_of(subject.dataset.test, "test")
    require_known([row[COLUMN] for row in rows], frozenset(names), groups, f"the test set of {subject.dataset.name}")
    index_of = {name: index for index, name in enumerate(names)}
    columns = {column: np.full(len(names), "", dtype=object) for column in rows[0] if column and column != COLUMN}
    if not columns:
        raise DataError(f"{groups}: no column of groups beside {COLUMN!r}. Add one, such as `age` or `camera`.")
    for row in rows:
        for column, values in columns.items():
            values[index_of[row[COLUMN]]] = row[column].strip()
    return _gaps(subject, columns)


def original_sides(folder: Path, files: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the square root of each file's width x height in pixels, before resizing, float64 (n,)."""
    sizes = []
    for file in files:
        with Image.open(folder / file) as image:
            sizes.append(float(np.sqrt(image.width * image.height)))
    return np.array(sizes)


def _gaps(subject: Subject, columns: dict[str, Groups]) -> tuple[Gap, ...]:
    return find_gaps(columns, subject.dataset.test.labels, subject.answers, subject.dataset.class_names)


def _accuracy(correct: NDArray[np.bool_]) -> tuple[float, Interval]:
    n_correct = int(correct.sum())
    return (n_correct / len(correct), wilson_interval(n_correct, len(correct))) if len(correct) else (0.0, (0.0, 1.0))


def _pairs(duplicates: Twins, rows: NDArray[np.intp], names: tuple[str, ...]) -> tuple[Pair, ...]:
    return tuple(
        Pair(names[first], names[second], round(float(difference), 4), bool(mirrored))
        for (first, second), difference, mirrored in zip(
            duplicates.pairs[rows], duplicates.difference[rows], duplicates.mirrored[rows], strict=True
        )
    )


SECTIONS: dict[str, Callable[[Subject, Progress], object]] = {
    "strangers": strangers,
    "robustness": robustness,
    "gaps": gaps,
    "duplicates": duplicates,
}
"""Sections by their field in audit.json, fastest first."""
