"""Subgroups by brightness, contrast, colorfulness and sharpness.

Each property splits the images into terciles: low, middle and high.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, fisher_exact

from tinysight.data.dataset import Labels, Pixels
from tinysight.evaluation.significance import holm_correction
from tinysight.runs.audit_results import SubgroupGap
from tinysight.runs.records import Interval

TERCILES = ("low", "middle", "high")
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


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
    gray = np.einsum("nchw,c->nhw", pixels, _LUMA)
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


GroupNames = NDArray[np.object_]
"""The name of each image's group, (n,); "" for none."""

Mask = NDArray[np.bool_]

ALPHA = 0.01  # family-wise error rate


@dataclass(frozen=True)
class GroupRate:
    """A rate: the share of `counted` images among those `concerned`, both bool (n,)."""

    name: str
    class_name: str
    denominator: Mask
    numerator: Mask

    def counts(self, within: Mask) -> tuple[int, int]:
        """Return how many concerned images of a group are counted, and how many are not."""
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
    gaps = [gap for column, groups in columns.items() for gap in _gaps(column, groups, rates)]
    corrected = holm_correction([gap.p_value for gap in gaps])
    return tuple(replace(gap, p_value=p, significant=p <= ALPHA) for gap, p in zip(gaps, corrected, strict=True))


def _rates(labels: Labels, answers: Labels, class_names: tuple[str, ...]) -> Iterator[GroupRate]:
    """Yield the accuracy, and the false-negative and false-positive rate of each class."""
    yield GroupRate("accuracy", "", np.ones(len(labels), dtype=bool), np.asarray(labels == answers))
    for index, name in enumerate(class_names):
        positive, predicted = np.asarray(labels == index), np.asarray(answers == index)
        yield GroupRate("fnr", name, positive, ~predicted)
        yield GroupRate("fpr", name, ~positive, predicted)


def _gaps(column: str, groups: GroupNames, rates: list[GroupRate]) -> Iterator[SubgroupGap]:
    """Yield the gap of each rate of each group; none where the group or the others have no images."""
    known = np.asarray(groups != "")
    for name in sorted(set(groups[known])):
        inside = np.asarray(groups == name)
        for rate in rates:
            inner, outer = rate.counts(inside), rate.counts(known & ~inside)
            if (n := sum(inner)) and sum(outer):
                share, others = inner[0] / n, outer[0] / sum(outer)
                p = float(fisher_exact([inner, outer]).pvalue)
                interval = _interval(share, n)
                yield SubgroupGap(
                    column, name, rate.name, rate.class_name, n, share, interval, others, p, significant=False
                )


def _interval(share: float, n: int) -> Interval:
    """Return the 95% percentile-bootstrap interval of a share in closed form: binomial percentiles."""
    low, high = binom.ppf([0.025, 0.975], n, share) / n
    return float(low), float(high)
