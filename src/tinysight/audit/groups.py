"""Whether a classifier errs more often for some than for others, and whether that is more than chance.

A gap raises an alarm only if it would be rare by chance after counting how many were looked at.
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
"""(n,): the name of the group that each image is in; "" for none."""

Mask = NDArray[np.bool_]

ALARM = 0.01  # how often data without any difference may raise an alarm at all


@dataclass(frozen=True)
class Figure:
    """The share of answers that are `counted`, (n,), of those that are `concerned`, (n,)."""

    name: str
    class_name: str
    concerned: Mask
    counted: Mask

    def counts(self, within: Mask) -> tuple[int, int]:
        """Return how many images in a part count, and how many that are concerned do not."""
        concerned = self.concerned & within
        counted = int((self.counted & concerned).sum())
        return counted, int(concerned.sum()) - counted


def find_gaps(
    columns: Mapping[str, Groups], labels: Labels, answers: Labels, class_names: tuple[str, ...]
) -> tuple[Gap, ...]:
    """Return every figure of every group in every column beside that of all other images.

    Args:
        columns: the groups that each image is in, by the name of what they have in common.
        labels: int64, (n,), the true classes.
        answers: int64, (n,), the classes told.
        class_names: in the order of the labels.
    """
    figures = list(_figures(labels, answers, class_names))
    gaps = [gap for column, groups in columns.items() for gap in _gaps(column, groups, figures)]
    corrected = holm([gap.p for gap in gaps])
    return tuple(replace(gap, p=p, alarm=p <= ALARM) for gap, p in zip(gaps, corrected, strict=True))


def _figures(labels: Labels, answers: Labels, class_names: tuple[str, ...]) -> Iterator[Figure]:
    """Yield accuracy, and for each class the shares of its images missed and of others mistaken for it."""
    yield Figure("accuracy", "", np.ones(len(labels), dtype=bool), np.asarray(labels == answers))
    for index, name in enumerate(class_names):
        own, told = np.asarray(labels == index), np.asarray(answers == index)
        yield Figure("missed", name, own, ~told)
        yield Figure("mistaken", name, ~own, told)


def _gaps(column: str, groups: Groups, figures: list[Figure]) -> Iterator[Gap]:
    """Yield the figures of each group, by Fisher's exact test; none where the group or all others have no images."""
    known = np.asarray(groups != "")
    for name in sorted(set(groups[known])):
        inside = np.asarray(groups == name)
        for figure in figures:
            here, there = figure.counts(inside), figure.counts(known & ~inside)
            if (n := sum(here)) and sum(there):
                share, others = here[0] / n, there[0] / sum(there)
                p = float(fisher_exact([here, there]).pvalue)
                interval = _interval(share, n)
                yield Gap(column, name, figure.name, figure.class_name, n, share, interval, others, p, alarm=False)


def _interval(share: float, n: int) -> Interval:
    """Return the percentiles that the bootstrap of a share comes to with ever more resamples: those of a binomial."""
    low, high = binom.ppf([0.025, 0.975], n, share) / n
    return float(low), float(high)
