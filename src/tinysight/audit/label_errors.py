"""Label errors: images whose out-of-fold predictions contradict the label.

Method: confident learning (Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
Journal of Artificial Intelligence Research 70, 2021), as cleanlab implements it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Labels


@dataclass(frozen=True)
class LabelIssueIndices:
    """Images with likely label errors, the lowest label quality first.

    Attributes:
        indices: int64, (k,).
        suggested: int64, (k,), the most probable class.
        quality: float64, (k,), 0..1, the predicted probability of the label; 0 is worst.
    """

    indices: NDArray[np.int64]
    suggested: Labels
    quality: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.indices)


def find_label_issues(probabilities: NDArray[np.float64], labels: Labels) -> LabelIssueIndices:
    """Return the images with likely label errors.

    Args:
        probabilities: (n, classes), predicted by models that were not trained on the image.
        labels: int64, (n,), the given labels.
    """
    from cleanlab import filter as cleanlab_filter
    from cleanlab import rank as cleanlab_rank

    # Either filter alone flags too many images where models confuse classes
    # (docs/experiments/label-errors-fast-90.md).
    # n_jobs=1: cleanlab forks workers, and a fork of a process with threads can deadlock.
    is_issue = cleanlab_filter.find_label_issues(labels, probabilities, filter_by="both", n_jobs=1)
    quality = cleanlab_rank.get_label_quality_scores(labels, probabilities, method="self_confidence")
    order = np.flatnonzero(is_issue)[np.argsort(quality[is_issue], kind="stable")]
    return LabelIssueIndices(order, probabilities[order].argmax(1), quality[order])
