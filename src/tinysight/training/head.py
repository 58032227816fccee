"""Logistic regression on features: the last layer of a network with a frozen body.

The problem is strictly convex, so the result depends only on the features and the labels, not on a random start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

# Strength of the L2 penalty for features of mean squared length 1, strongest first.
PENALTIES = tuple(float(10.0**power) for power in np.arange(-1.0, -6.5, -0.5))
_TOLERANCE = 1e-8  # largest component of the gradient, of the scaled coefficients
_CV_TOLERANCE = 1e-5  # enough to compare penalties
_MAX_ITERATIONS = 1000
_LOGISTIC_CURVATURE = 0.25  # largest second derivative of the logistic loss

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""The sum of the losses of logits (n, classes), for labels and weights (n,) of the images or None."""


@dataclass(frozen=True)
class Head:
    """A linear layer: logits = features @ weight.T + bias.

    Attributes:
        weight: float64, (classes, d).
        bias: float64, (classes,).
        penalty: the L2 penalty that it was fitted with.
        cv_loss: mean loss of held-out images in cross-validation with this penalty, in nats.
    """

    weight: Tensor
    bias: Tensor
    penalty: float
    cv_loss: float


@dataclass(frozen=True)
class HeadProblem:
    """Features, labels, and the loss to minimize.

    Attributes:
        features: float, (n, d).
        labels: int64, (n,), or (n, classes) of 0 and 1.
        weights: weight of each image in the loss, (n,), or None.
        num_classes: number of logits.
        loss: the loss.
        has_bias: whether the head has a bias, which is not penalized; without one it is 0.
    """

    features: Tensor
    labels: Tensor
    weights: Tensor | None
    num_classes: int
    loss: Loss
    has_bias: bool = True

    def solve(self, folds: Sequence[NDArray[np.int64]]) -> Head:
        """Return the head with the penalty whose mean loss in cross-validation is smallest.

        Args:
            folds: indices of the images of each fold. Images in none of them do not take part in the choice.
        """
        penalty, cv_loss = self._choose_penalty(folds)
        coefficients = self._minimize(np.arange(len(self.labels)), penalty, _TOLERANCE)
        weight = coefficients[:, :-1] @ self._axes.T / self._scale
        return Head(weight, coefficients[:, -1] - weight @ self._mean, penalty, cv_loss)

    def held_out_logits(self, folds: Sequence[NDArray[np.int64]]) -> tuple[Tensor, float]:
        """Return the logits of each image by the head that was fitted without its fold, and their mean loss.

        The penalty is that with the smallest loss, so the loss is slightly optimistic.
        """
        penalty, loss = self._choose_penalty(folds)
        logits = torch.zeros(len(self.labels), self.num_classes, dtype=torch.float64)
        pool = np.concatenate(folds)
        for fold in folds:
            logits[fold] = self._logits(self._minimize(np.setdiff1d(pool, fold), penalty, _CV_TOLERANCE), fold)
        return logits, loss

    def _choose_penalty(self, folds: Sequence[NDArray[np.int64]]) -> tuple[float, float]:
        """Return the best penalty and its mean loss. The loss has one minimum, so the search ends when it rises."""
        pool = np.concatenate(folds)
        training = [np.setdiff1d(pool, fold) for fold in folds]
        starts: list[Tensor | None] = [None] * len(folds)
        losses: list[float] = []
        for penalty in PENALTIES:
            total = 0.0
            for number, (fold, rest) in enumerate(zip(folds, training, strict=True)):
                starts[number] = coefficients = self._minimize(rest, penalty, _CV_TOLERANCE, starts[number])
                total += float(self.loss(self._logits(coefficients, fold), self.labels[fold], self._weights(fold)))
            losses.append(total / len(pool))
            if losses[-1] > min(losses):
                break
        best = int(np.argmin(losses))
        return PENALTIES[best], losses[best]

    def _minimize(
        self, rows: NDArray[np.int64], penalty: float, tolerance: float, start: Tensor | None = None
    ) -> Tensor:
        """Return the coefficients (classes, r + 1) that minimize the mean loss of these images and the penalty.

        The coordinates have different variances. Each is divided by the root of its curvature, so that L-BFGS takes
        tens of steps, not hundreds.
        """
        labels, weights, shape = self.labels[rows], self._weights(rows), (self.num_classes, len(self._variances) + 1)
        curvature = torch.cat([_LOGISTIC_CURVATURE * self._variances, torch.tensor([_LOGISTIC_CURVATURE])])
        strength = torch.full_like(curvature, penalty)
        strength[-1] = 0.0
        scale = (curvature + strength).rsqrt()
        scale[-1] *= self.has_bias

        def objective(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            scaled = torch.from_numpy(values).view(shape).requires_grad_()
            coefficients = scaled * scale
            value = self.loss(self._logits(coefficients, rows), labels, weights) / len(rows)
            value = value + (strength * coefficients.square()).sum() / 2
            (gradient,) = torch.autograd.grad(value, scaled)
            return float(value.detach()), gradient.view(-1).numpy()

        first = np.zeros(shape).ravel() if start is None else (start / scale).nan_to_num().view(-1).numpy()
        options = {"maxiter": _MAX_ITERATIONS, "gtol": tolerance, "ftol": 0.0}
        result = minimize(objective, first, jac=True, method="L-BFGS-B", options=options)
        return torch.from_numpy(result.x).view(shape) * scale

    def _logits(self, coefficients: Tensor, rows: NDArray[np.int64]) -> Tensor:
        return self._coordinates[rows] @ coefficients[:, :-1].T + coefficients[:, -1]

    def _weights(self, rows: NDArray[np.int64]) -> Tensor | None:
        return None if self.weights is None else self.weights[rows]

    @cached_property
    def _mean(self) -> Tensor:
        """What is subtracted from the features. Without a bias nothing is, since it could not be undone."""
        mean = self.features.double().mean(0)
        return mean if self.has_bias else torch.zeros_like(mean)

    @cached_property
    def _scale(self) -> float:
        """Root of the mean squared length of the centered features."""
        centered = self.features.double() - self._mean
        return max(float(centered.square().sum(1).mean().sqrt()), torch.finfo(torch.float32).tiny)

    @cached_property
    def _principal(self) -> tuple[Tensor, Tensor]:
        """Principal axes (d, r) of the scaled features, and the variance (r,) along each.

        The penalty does not depend on the rotation. Fewer images than features span fewer dimensions, so the smaller
        of the two Gram matrices is decomposed.
        """
        scaled = (self.features.double() - self._mean) / self._scale
        n, d = scaled.shape
        if n < d:
            values, vectors = torch.linalg.eigh(scaled @ scaled.T / n)
            is_kept = values > values[-1] * 1e-12
            values, vectors = values[is_kept], vectors[:, is_kept]
            return scaled.T @ vectors / (n * values).sqrt(), values
        values, vectors = torch.linalg.eigh(scaled.T @ scaled / n)
        is_kept = values > values[-1] * 1e-12
        return vectors[:, is_kept], values[is_kept]

    @property
    def _axes(self) -> Tensor:
        return self._principal[0]

    @property
    def _variances(self) -> Tensor:
        return self._principal[1]

    @cached_property
    def _coordinates(self) -> Tensor:
        return (self.features.double() - self._mean) / self._scale @ self._axes
