"""Audit sections: metrics of subgroups, by image properties and by the columns of a CSV file.

Each image property (brightness, contrast, colorfulness, sharpness) splits the images into terciles: low, middle and
high. A subgroup can coincide with a few classes that are hard or easy. So each gap is also computed within classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import chi2, fisher_exact

from tinysight._util.errors import DataError
from tinysight._util.formatting import percent, percent_interval, points
from tinysight._util.progress import Progress
from tinysight.auditing.context import AuditContext
from tinysight.auditing.section import AuditSection
from tinysight.data.dataset import Labels, Pixels
from tinysight.data.filters import luma
from tinysight.data.image_ids import IMAGE_COLUMN, check_ids, image_ids, read_rows
from tinysight.evaluation.confidence_intervals import wilson_interval
from tinysight.evaluation.significance import holm_correction
from tinysight.reporting.section import Cell, Row, Table
from tinysight.runs.records import Interval

Metric = Literal["accuracy", "fnr", "fpr"]
GroupNames = NDArray[np.object_]
"""The name of each image's group, (n,); "" for none."""

Mask = NDArray[np.bool_]

ALPHA = 0.01  # family-wise error rate
TERCILES = ("low", "middle", "high")


def property_subgroups(pixels: Pixels) -> dict[str, NDArray[np.object_]]:
    """Return the tercile of each of uint8 images (n, 3, height, width), by property."""
    return {name: terciles(values) for name, values in image_properties(pixels).items()}


def image_properties(pixels: Pixels) -> dict[str, NDArray[np.float64]]:
    """Return one value per image, (n,), by property, in gray levels (squared for sharpness).

    Brightness and contrast are the mean and the standard deviation of luma. Colorfulness is that of Hasler and
    Suesstrunk, "Measuring Colourfulness in Natural Images" (Human Vision and Electronic Imaging VIII, 2003). Sharpness
    is the variance of the Laplacian (Pech-Pacheco et al., "Diatom Autofocusing in Brightfield Microscopy", ICPR 2000).
    """
    chunks = [_properties(pixels[start : start + 1000].astype(np.float32)) for start in range(0, len(pixels), 1000)]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _properties(pixels: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    red, green, blue = pixels.transpose(1, 0, 2, 3)
    gray = luma(torch.from_numpy(pixels)).squeeze(1).numpy()
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    return {
        "brightness": gray.mean((1, 2)).astype(np.float64),
        "contrast": gray.std((1, 2)).astype(np.float64),
        "colorfulness": np.hypot(red_green.std((1, 2)), yellow_blue.std((1, 2)))
        + 0.3 * np.hypot(red_green.mean((1, 2)), yellow_blue.mean((1, 2))),
        "sharpness": _laplacian(gray).var((1, 2)).astype(np.float64),
    }


def _laplacian(gray: NDArray[np.float32]) -> NDArray[np.float32]:
    neighbors = gray[:, :-2, 1:-1] + gray[:, 2:, 1:-1] + gray[:, 1:-1, :-2] + gray[:, 1:-1, 2:]
    laplacian: NDArray[np.float32] = neighbors - 4 * gray[:, 1:-1, 1:-1]
    return laplacian


def terciles(values: NDArray[np.float64]) -> NDArray[np.object_]:
    """Return the tercile of each value, (n,): "low", "middle" or "high". Equal values share a tercile."""
    edges = np.quantile(values, [1 / 3, 2 / 3])
    return np.array(TERCILES, dtype=object)[np.searchsorted(edges, values, side="left")]


@dataclass(frozen=True)
class SubgroupGap:
    """A metric of one subgroup, compared with all other images.

    Attributes:
        column, group: the attribute and its value that define the subgroup.
        metric: "accuracy", or the false negative rate ("fnr") or false positive rate ("fpr") of a class.
        class_name: the class of the metric, "" for accuracy.
        n: number of images that the metric is computed on.
        value, interval: the metric and its 95% confidence interval (Wilson).
        complement_value: the metric on all images outside the subgroup.
        p_value: p-value of Fisher's exact test, with Holm's correction for the number of gaps.
        difference_within_classes: mean difference between images of the same class inside and outside the subgroup,
            weighted as by Mantel and Haenszel; None if no class has images on both sides.
        p_value_within_classes: p-value of the Mantel-Haenszel test of this difference; 1 if it is None.
        significant: whether the subgroup does significantly worse, both overall and within classes.
    """

    column: str
    group: str
    metric: Metric
    class_name: str
    n: int
    value: float
    interval: Interval
    complement_value: float
    p_value: float
    difference_within_classes: float | None
    p_value_within_classes: float
    significant: bool

    @property
    def difference(self) -> float:
        """The metric of the subgroup minus that of all other images."""
        return self.value - self.complement_value

    @property
    def is_worse(self) -> bool:
        """Whether the subgroup does worse than all other images: lower accuracy, or a higher error rate."""
        return self.difference < 0 if self.metric == "accuracy" else self.difference > 0


@dataclass(frozen=True)
class GroupRate:
    """A rate: the share of the images in `numerator` among those in `denominator`, both bool (n,)."""

    metric: Metric
    class_name: str
    denominator: Mask
    numerator: Mask

    def counts(self, within: Mask) -> tuple[int, int]:
        """Return how many images of a group are in the numerator, and how many are only in the denominator."""
        concerned = self.denominator & within
        counted = int((self.numerator & concerned).sum())
        return counted, int(concerned.sum()) - counted


def find_subgroup_gaps(
    columns: Mapping[str, GroupNames], labels: Labels, predicted: Labels, class_names: tuple[str, ...]
) -> tuple[SubgroupGap, ...]:
    """Return each rate of each group in each column, compared with all other images.

    Args:
        columns: the group of each image, by the name of the attribute.
        labels: int64, (n,), true classes.
        predicted: int64, (n,), predicted classes.
        class_names: names of the classes, in the order of the labels.
    """
    rates = list(_rates(labels, predicted, class_names))
    gaps = [gap for column, groups in columns.items() for gap in _gaps(column, groups, rates, labels)]
    corrected = holm_correction([gap.p_value for gap in gaps])
    return tuple(
        replace(gap, p_value=p, significant=_is_finding(replace(gap, p_value=p)))
        for gap, p in zip(gaps, corrected, strict=True)
    )


def _is_finding(gap: SubgroupGap) -> bool:
    """Return whether the group does worse. In a column of two groups, the other one then does better."""
    return gap.is_worse and gap.p_value <= ALPHA and gap.p_value_within_classes <= ALPHA


def _rates(labels: Labels, answers: Labels, class_names: tuple[str, ...]) -> Iterator[GroupRate]:
    """Yield the accuracy, and the false-negative and false-positive rate of each class."""
    yield GroupRate("accuracy", "", np.ones(len(labels), dtype=bool), np.asarray(labels == answers))
    for index, name in enumerate(class_names):
        positive, predicted = np.asarray(labels == index), np.asarray(answers == index)
        yield GroupRate("fnr", name, positive, ~predicted)
        yield GroupRate("fpr", name, ~positive, predicted)


def _gaps(column: str, groups: GroupNames, rates: list[GroupRate], labels: Labels) -> Iterator[SubgroupGap]:
    """Yield the gap of each rate of each group; none where the group or the others have no images."""
    known = np.asarray(groups != "")
    for name in sorted(set(groups[known])):
        inside = np.asarray(groups == name)
        outside = known & ~inside
        for rate in rates:
            inner, outer = rate.counts(inside), rate.counts(outside)
            if (n := sum(inner)) and sum(outer):
                within, p_within = _within_classes(rate, inside, outside, labels)
                yield SubgroupGap(
                    column=column,
                    group=name,
                    metric=rate.metric,
                    class_name=rate.class_name,
                    n=n,
                    value=inner[0] / n,
                    interval=wilson_interval(inner[0], n),
                    complement_value=outer[0] / sum(outer),
                    p_value=float(fisher_exact([inner, outer]).pvalue),
                    difference_within_classes=within,
                    p_value_within_classes=p_within,
                    significant=False,
                )


def _within_classes(rate: GroupRate, inside: Mask, outside: Mask, labels: Labels) -> tuple[float | None, float]:
    """Return the difference of a rate between images of the same class, and its p-value.

    Method: Mantel and Haenszel, "Statistical Aspects of the Analysis of Data from Retrospective Studies of Disease"
    (Journal of the National Cancer Institute 22, 1959), without continuity correction; the classes are the strata.
    """
    classes = int(labels.max()) + 1
    cells = [
        np.bincount(labels[mask & rate.denominator & side], minlength=classes).astype(float)
        for side in (inside, outside)
        for mask in (rate.numerator, ~rate.numerator)
    ]
    both = (cells[0] + cells[1] > 0) & (cells[2] + cells[3] > 0)
    if not both.any():
        return None, 1.0
    a, b, c, d = (cell[both] for cell in cells)
    n_in, n_out, n = a + b, c + d, a + b + c + d
    weights = n_in * n_out / n
    difference = float(((a / n_in - c / n_out) * weights).sum() / weights.sum())
    variance = float((n_in * n_out * (a + c) * (b + d) / (n**2 * np.maximum(n - 1, 1))).sum())
    excess = float((a - n_in * (a + c) / n).sum())
    return difference, float(chi2.sf(excess**2 / variance, 1)) if variance else 1.0


class _GapSection(AuditSection[tuple[SubgroupGap, ...]]):
    """Summary and table of both sections."""

    result_type = tuple[SubgroupGap, ...]
    instead = "evaluate the images of each group alone"

    def summarize(self, result: tuple[SubgroupGap, ...]) -> str:
        """Return the number of significant gaps and the widest of them."""
        n = max((gap.n for gap in result), default=0)
        findings = [gap for gap in result if gap.significant]
        if not findings:
            return f"no group does significantly worse in {len(result):,} comparisons (n = {n:,} images at most)"
        widest = max(findings, key=lambda gap: abs(gap.difference))
        return f"{len(findings):,} significant of {len(result):,} comparisons; widest: {_describe(widest)}"

    def rows(self, result: tuple[SubgroupGap, ...], limit: int) -> tuple[Table, ...]:
        """Return the comparisons where a group does worse: significant ones first, then the widest."""
        worse = sorted(
            (gap for gap in result if gap.is_worse), key=lambda gap: (not gap.significant, -abs(gap.difference))
        )
        columns = ("group", "metric", "in the group", "all others", "within classes", "n", "p-value")
        n_significant = sum(gap.significant for gap in result)
        note = (
            f"Highlighted: {n_significant:,} significant gaps (Fisher's exact test with Holm's correction, and the "
            f"Mantel-Haenszel test within classes; level {ALPHA:g}). Within classes: the difference between images of "
            "the same class, in percentage points. Groups that do better are in audit.json only."
        )
        if smallest := min((gap for gap in result if gap.metric == "accuracy"), key=lambda gap: gap.n, default=None):
            note += f" Smallest group: {smallest.column} {smallest.group} (n = {smallest.n:,})."
        rows = tuple(_row(gap) for gap in worse[:limit])
        return (Table(columns, rows, len(worse), "comparisons in which a group does worse", note),)


class PropertySubgroups(_GapSection):
    """Subgroups by image properties and, for files, by the original size."""

    name = "subgroups"
    heading = "subgroups"
    order, cost = 40, 40

    def compute(self, context: AuditContext, progress: Progress) -> tuple[SubgroupGap, ...]:
        """Return the gaps between the terciles of each property of the test images."""
        test = context.dataset.test
        columns = property_subgroups(test.pixels)
        if context.dataset.folder:
            columns["original size"] = terciles(original_side_lengths(context.dataset.folder, test.files))
        return find_subgroup_gaps(columns, test.labels, context.predicted, context.dataset.class_names)


class FileSubgroups(_GapSection):
    """Subgroups by the columns of a CSV file."""

    name = "user_subgroups"
    heading = "groups"
    order, cost = 50, 10
    requires = "groups_file"

    def compute(self, context: AuditContext, progress: Progress) -> tuple[SubgroupGap, ...]:
        """Return the gaps between the groups of each column.

        Raises:
            DataError: the file has no columns of groups, or names images that are not in the test set.
        """
        test = context.dataset.test
        columns = read_groups(context.require_groups_file(), image_ids(test, "test"), context.dataset.name)
        return find_subgroup_gaps(columns, test.labels, context.predicted, context.dataset.class_names)


def read_groups(path: Path, names: tuple[str, ...], dataset: str) -> dict[str, GroupNames]:
    """Return the group of each test image by column of a CSV file, (n,); "" for images without a group.

    Args:
        path: CSV file with a column `image` and at least one more.
        names: IDs of the test images.
        dataset: name of the dataset, for error messages.

    Raises:
        DataError: the file has no such columns, or names images that are not in the test set.
    """
    rows = read_rows(path)
    check_ids([row[IMAGE_COLUMN] for row in rows], frozenset(names), path, f"the test set of {dataset}")
    index_of = {name: index for index, name in enumerate(names)}
    columns = {column: np.full(len(names), "", dtype=object) for column in rows[0] if column and column != IMAGE_COLUMN}
    if not columns:
        raise DataError(f"{path}: no column of groups beside {IMAGE_COLUMN!r}. Add one, such as `age` or `camera`.")
    for row in rows:
        for column, values in columns.items():
            values[index_of[row[IMAGE_COLUMN]]] = row[column].strip()
    return columns


def original_side_lengths(folder: Path, files: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the square root of each file's width x height in pixels, before resizing, float64 (n,)."""
    sizes = []
    for file in files:
        with Image.open(folder / file) as image:
            sizes.append(float(np.sqrt(image.width * image.height)))
    return np.array(sizes)


_METRIC_NAMES: dict[Metric, str] = {
    "accuracy": "accuracy",
    "fnr": "false-negative rate of",
    "fpr": "false-positive rate of",
}


def _metric_name(gap: SubgroupGap) -> str:
    return f"{_METRIC_NAMES[gap.metric]} {gap.class_name}".rstrip()


def _describe(gap: SubgroupGap) -> str:
    return (
        f"{_metric_name(gap)} {percent(gap.value)} for {gap.column} {gap.group} (n = {gap.n:,}), "
        f"{percent(gap.complement_value)} for all others"
    )


def _row(gap: SubgroupGap) -> Row:
    within = gap.difference_within_classes
    return Row(
        (
            Cell(f"{gap.column}: {gap.group}"),
            Cell(_metric_name(gap)),
            Cell(percent(gap.value), percent_interval(gap.interval)),
            Cell(percent(gap.complement_value)),
            Cell("" if within is None else points(within)),
            Cell(f"{gap.n:,}"),
            Cell("< 0.0001" if gap.p_value < 1e-4 else f"{gap.p_value:.2g}"),
        ),
        highlight=gap.significant,
    )
