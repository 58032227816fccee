"""What every answer costs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def losses(probabilities: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]]) -> NDArray[np.floating[Any]]:
    """Return (n,): the negative log-probability (nats) of each true class; probabilities are (n, classes).

    A probability of 0 counts as the smallest normal float32, so that one impossible answer costs 87 nats
    rather than infinity, and every softmax in float32 that has not underflowed keeps its exact loss.
    """
    of_truth = probabilities[np.arange(len(labels)), labels]
    found: NDArray[np.floating[Any]] = -np.log(np.maximum(of_truth, np.finfo(np.float32).tiny))
    return found
