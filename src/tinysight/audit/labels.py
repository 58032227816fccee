"""Labels that are likely to be wrong: where models that never saw an image agree on another class.

By confident learning (Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
Journal of Artificial Intelligence Research 70, 2021), as cleanlab implements it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Labels


@dataclass(frozen=True)
class Suspects:
    """Images whose label is likely to be wrong, the likeliest first.

    Attributes:
        indices: int64, (k,).
        suggested: int64, (k,), the class that the models agree on.
        quality: float64, (k,), 0..1, the probability that the models give to the label; 0 is worst.
    """

    indices: NDArray[np.int64]
    suggested: Labels
    quality: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.indices)


def find_suspects(probabilities: NDArray[np.float64], labels: Labels) -> Suspects:
    """Return the images whose label is likely to be wrong.

    Args:
        probabilities: (n, classes), by models that did not learn from the image in question.
        labels: int64, (n,), what is said of the images.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    # Either rule alone suspects too many where models confuse classes (docs/experiments.md has the figures).
    # One process: cleanlab would fork more, and a fork of a process with threads may stand still for ever.
    wrong = find_label_issues(labels, probabilities, filter_by="both", n_jobs=1)
    quality = get_label_quality_scores(labels, probabilities, method="self_confidence")
    order = np.flatnonzero(wrong)[np.argsort(quality[wrong], kind="stable")]
    return Suspects(order, probabilities[order].argmax(1), quality[order])
