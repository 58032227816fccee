"""Temperature scaling: how far to flatten or sharpen the softmax so that confidence means something."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOWEST, HIGHEST = 0.01, 100.0
_HALVINGS = 40  # of a range of 9 in the logarithm: more than float64 can tell apart in the loss


@torch.inference_mode()
def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature at which the softmax of `logits` has the least cross-entropy on `labels`.

    The loss is convex in the inverse of the temperature (Guo et al., "On Calibration of Modern Neural Networks", 2017),
    so the zero of its slope is found by halving. As if one more image had been seen that belongs to every class alike
    (after Platt, "Probabilistic Outputs for Support Vector Machines", 1999), a classifier that is right about a few
    images is not taken to be right about all.

    Args:
        logits: (n, classes), of images that were not learned from.
        labels: int64, (n,), the true classes.

    Returns:
        A number from `LOWEST` to `HIGHEST`; 1 leaves the probabilities as they are, more makes them less sure.
    """
    logits = logits.double()
    doubt = 1 / (len(labels) + 1)
    right = torch.lerp(logits.gather(1, labels.unsqueeze(1)).mean(), logits.mean(), doubt)
    low, high = math.log(LOWEST), math.log(HIGHEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        expected = ((logits / math.exp(middle)).softmax(1) * logits).sum(1).mean()
        if expected > right:  # too sure: what it expects of its logits is more than the truth yields
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)
