"""Negative log-likelihood of predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def losses(probabilities: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]]) -> NDArray[np.floating[Any]]:
    """Return the negative log-likelihood of each true class in nats, (n,), from probabilities (n, classes).

    Probabilities are clipped to the smallest normal float32, so the largest loss is 87 nats instead of infinity.
    A float32 softmax that did not underflow is not changed.
    """
    true_class = probabilities[np.arange(len(labels)), labels]
    nats: NDArray[np.floating[Any]] = -np.log(np.maximum(true_class, np.finfo(np.float32).tiny))
    return nats
