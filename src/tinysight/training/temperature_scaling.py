"""Temperature scaling: calibrate a classifier's softmax or sigmoids on held-out images."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 100.0


@torch.inference_mode()
def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature that minimizes the cross-entropy of `softmax(logits / temperature)`.

    The loss is convex in the inverse temperature (Guo et al., "On Calibration of Modern Neural Networks", 2017), so the
    zero of its derivative is found by Brent's method. One pseudo-image with a uniform label is added (after Platt,
    "Probabilistic Outputs for Support Vector Machines", 1999), so that a few correct predictions do not give full
    confidence.

    Args:
        logits: (n, classes), of images that were not trained on.
        labels: int64, (n,), the true classes.

    Returns:
        A number from `MIN_TEMPERATURE` to `MAX_TEMPERATURE`; 1 keeps the probabilities, more lowers the confidence.
    """
    logits = logits.double()
    uniform_weight = 1 / (len(labels) + 1)
    target = torch.lerp(logits.gather(1, labels.unsqueeze(1)).mean(), logits.mean(), uniform_weight)

    def excess(log_temperature: float) -> float:
        """Return the derivative of the loss, up to its sign; it is positive for overconfident probabilities."""
        weights = (logits / math.exp(log_temperature)).softmax(1)
        return float((weights * logits).sum(1).mean() - target)

    return _solve(excess)


@torch.inference_mode()
def fit_sigmoid_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature that minimizes the binary cross-entropy of `sigmoid(logits / temperature)`.

    The method is that of `fit_temperature`. The pseudo-image has each label by half.

    Args:
        logits: (n, labels), of images that were not trained on.
        labels: int64, (n, labels), 1 where the image has the label.
    """
    logits = logits.double()
    target = torch.lerp((logits * labels).mean(), logits.mean() / 2, 1 / (len(labels) + 1))

    def excess(log_temperature: float) -> float:
        probabilities = (logits / math.exp(log_temperature)).sigmoid()
        return float((probabilities * logits).mean() - target)

    return _solve(excess)


def _solve(excess: Callable[[float], float]) -> float:
    """Return the temperature at which the increasing derivative `excess` of its logarithm is 0."""
    from scipy.optimize import brentq  # imported here, because it takes longer than any other module of SciPy

    if excess(math.log(MIN_TEMPERATURE)) <= 0:
        return MIN_TEMPERATURE
    if excess(math.log(MAX_TEMPERATURE)) >= 0:
        return MAX_TEMPERATURE
    return math.exp(brentq(excess, math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE), xtol=1e-12))
