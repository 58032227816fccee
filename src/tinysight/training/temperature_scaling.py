"""Temperature scaling: calibrate a classifier's softmax on held-out images."""

from __future__ import annotations

import math

import torch
from torch import Tensor

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 100.0
_BISECTIONS = 40  # of a log range of 9: finer than float64 resolves in the loss


@torch.inference_mode()
def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature that minimizes the cross-entropy of `softmax(logits / temperature)`.

    The loss is convex in the inverse temperature (Guo et al., "On Calibration of Modern Neural Networks", 2017), so the
    zero of its derivative is found by bisection. One pseudo-image with a uniform label is added (after Platt,
    "Probabilistic Outputs for Support Vector Machines", 1999), so that a few correct predictions do not give full
    confidence.

    Args:
        logits: (n, classes), of images that were not trained on.
        labels: int64, (n,), the true classes.

    Returns:
        A number from `LOWEST` to `HIGHEST`; 1 keeps the probabilities, more lowers the confidence.
    """
    logits = logits.double()
    uniform_weight = 1 / (len(labels) + 1)
    target = torch.lerp(logits.gather(1, labels.unsqueeze(1)).mean(), logits.mean(), uniform_weight)
    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        expected = ((logits / math.exp(middle)).softmax(1) * logits).sum(1).mean()
        if expected > target:  # overconfident: raise the temperature
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)
