"""The sections of an audit that need nothing but the run and its images."""

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

CORRUPTED = 2000  # test images at most that are corrupted in all ways
_PAIRS = 50  # of twins that are named


def robustness(subject: Subject, progress: Progress) -> Robustness:
    """Return the accuracy on corrupted test images."""
    test = subject.dataset.test
    some = np.random.default_rng(0).permutation(len(test))[:CORRUPTED]
    return measure_robustness(subject.classifier, Part(test.pixels[some], test.labels[some]), progress=progress)


def strangers(subject: Subject, progress: Progress) -> Strangeness:
    """Return how well images of none of the classes are told."""
    pixels = subject.dataset.test.pixels[:CORRUPTED]
    return measure_strangeness(subject.classifier, pixels, subject.dataset.name)


def duplicates(subject: Subject, progress: Progress) -> Duplicates:
    """Return the near-twins within and across splits, and what they do to the accuracy."""
    twins = find_twins(subject.pool.pixels, progress)
    splits = subject.splits[twins.pairs]  # (k, 2), in the order of the splits
    across = (splits[:, 1] == "test") & (splits[:, 0] != "test")
    spoiled = np.unique(twins.pairs[across, 1]) - (len(subject.names) - len(subject.correct))
    clean = np.ones(len(subject.correct), dtype=bool)
    clean[spoiled] = False
    return Duplicates(
        within={split: int(((splits == split).all(1)).sum()) for split in SPLITS},
        across=len(spoiled),
        test=len(clean),
        accuracy=_accuracy(subject.correct),
        accuracy_without=_accuracy(subject.correct[clean]),
        pairs=_pairs(twins, np.argsort(~across, kind="stable")[:_PAIRS], subject.names),
    )


def gaps(subject: Subject, progress: Progress) -> tuple[Gap, ...]:
    """Return the gaps between groups that every image has."""
    columns = slices(subject.dataset.test.pixels)
    folder = Path(subject.run.environment().dataset.argument)
    if subject.dataset.test.files:
        columns["original size"] = thirds(original_sides(folder, subject.dataset.test.files))
    return _gaps(subject, columns)


def gaps_of(groups: Path, subject: Subject) -> tuple[Gap, ...]:
    """Return the gaps between the groups of a CSV file with a column `image` and at least one other.

    Raises:
        DataError: it is no such file, or names images that are none of the test images.
    """
    rows = read_rows(groups)
    names = names_of(subject.dataset.test, "test")
    require_known([row[COLUMN] for row in rows], frozenset(names), groups, f"the test set of {subject.dataset.name}")
    place = {name: index for index, name in enumerate(names)}
    columns = {column: np.full(len(names), "", dtype=object) for column in rows[0] if column and column != COLUMN}
    if not columns:
        raise DataError(f"{groups} has no column of groups beside {COLUMN!r}; add one, such as `age` or `camera`.")
    for row in rows:
        for column, of_images in columns.items():
            of_images[place[row[COLUMN]]] = row[column].strip()
    return _gaps(subject, columns)


def original_sides(folder: Path, files: tuple[str, ...]) -> NDArray[np.float64]:
    """Return (n,): the side in pixels of a square as large as each picture is before it is resized."""
    sizes = []
    for file in files:
        with Image.open(folder / file) as picture:
            sizes.append(float(np.sqrt(picture.width * picture.height)))
    return np.array(sizes)


def _gaps(subject: Subject, columns: dict[str, Groups]) -> tuple[Gap, ...]:
    return find_gaps(columns, subject.dataset.test.labels, subject.answers, subject.dataset.class_names)


def _accuracy(correct: NDArray[np.bool_]) -> tuple[float, Interval]:
    hits = int(correct.sum())
    return (hits / len(correct), wilson_interval(hits, len(correct))) if len(correct) else (0.0, (0.0, 1.0))


def _pairs(twins: Twins, chosen: NDArray[np.intp], names: tuple[str, ...]) -> tuple[Pair, ...]:
    return tuple(
        Pair(names[first], names[second], round(float(difference), 4), bool(mirrored))
        for (first, second), difference, mirrored in zip(
            twins.pairs[chosen], twins.difference[chosen], twins.mirrored[chosen], strict=True
        )
    )


SECTIONS: dict[str, Callable[[Subject, Progress], object]] = {
    "strangers": strangers,
    "robustness": robustness,
    "gaps": gaps,
    "duplicates": duplicates,
}
"""The quickest first."""
