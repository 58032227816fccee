"""Performance gaps between subgroups, with Fisher's exact test.

A gap is significant if its p-value, corrected for the number of gaps (Holm), is at most `ALARM`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, fisher_exact

from tinysight.data.dataset import Labels
from tinysight.evaluation.comparison import holm
from tinysight.runs.findings import Gap, Interval

Groups = NDArray[np.object_]
"""The name of each image's group, (n,); "" for none."""

Mask = NDArray[np.bool_]

ALARM = 0.01  # family-wise error rate


@dataclass(frozen=True)
class Figure:
    """A rate: the share of `counted` images among those `concerned`, both bool (n,)."""

    name: str
    class_name: str
    concerned: Mask
    counted: Mask

    def counts(self, within: Mask) -> tuple[int, int]:
        """Return how many concerned images of a group are counted, and how many are not."""
        concerned = self.concerned & within
        counted = int((self.counted & concerned).sum())
        return counted, int(concerned.sum()) - counted


def find_gaps(
    columns: Mapping[str, Groups], labels: Labels, answers: Labels, class_names: tuple[str, ...]
) -> tuple[Gap, ...]:
    """Return each rate of each group in each column, compared with all other images.

    Args:
        columns: the group of each image, by the name of the attribute.
        labels: int64, (n,), true classes.
        answers: int64, (n,), predicted classes.
        class_names: names of the classes, in the order of the labels.
    """
    rates = list(_rates(labels, answers, class_names))
    gaps = [gap for column, groups in columns.items() for gap in _gaps(column, groups, rates)]
    corrected = holm([gap.p for gap in gaps])
    return tuple(replace(gap, p=p, alarm=p <= ALARM) for gap, p in zip(gaps, corrected, strict=True))


def _rates(labels: Labels, answers: Labels, class_names: tuple[str, ...]) -> Iterator[Figure]:
    """Yield the accuracy, and the false-negative and false-positive rate of each class."""
    yield Figure("accuracy", "", np.ones(len(labels), dtype=bool), np.asarray(labels == answers))
    for index, name in enumerate(class_names):
        positive, predicted = np.asarray(labels == index), np.asarray(answers == index)
        yield Figure("missed", name, positive, ~predicted)
        yield Figure("mistaken", name, ~positive, predicted)


def _gaps(column: str, groups: Groups, rates: list[Figure]) -> Iterator[Gap]:
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
                yield Gap(column, name, rate.name, rate.class_name, n, share, interval, others, p, alarm=False)


def _interval(share: float, n: int) -> Interval:
    """Return the 95% percentile-bootstrap interval of a share in closed form: binomial percentiles."""
    low, high = binom.ppf([0.025, 0.975], n, share) / n
    return float(low), float(high)
