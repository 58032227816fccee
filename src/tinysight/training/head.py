"""Logistic regression on features: the last layer of a network with a frozen body.

The problem is strictly convex, so the result depends only on the features and the labels, not on a random start.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from threadpoolctl import threadpool_limits
from torch import Tensor

# Strength of the L2 penalty for features of mean squared length 1, strongest first.
PENALTIES = tuple(float(10.0**power) for power in np.arange(-1.0, -6.5, -0.5))
_FIRST_PENALTY = 4  # position of the penalty that is tried first
_TOLERANCE = 1e-8  # largest component of the gradient, of the scaled coefficients
_CV_TOLERANCE = 1e-4  # enough to compare penalties: the mean loss is within some 1e-4 nats
_MAX_ITERATIONS = 1000
_LOGISTIC_CURVATURE = 0.25  # largest second derivative of the logistic loss
_SMALL_PROBLEM = 20_000_000  # images x features x classes up to which a second thread costs more than it gains

Array = NDArray[np.float64]


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
    """Features and labels, of which the mean loss and the penalty are minimized.

    The loss is the cross-entropy of the softmax, or of several labels per image the sum of the binary cross-entropies.
    It is computed in NumPy: for few images, automatic differentiation would take ten times as long.

    Attributes:
        features: float, (n, d).
        labels: int64, (n,), or (n, classes) of 0 and 1.
        weights: weight of each image in the loss, (n,), or None.
        num_classes: number of logits.
        has_bias: whether the head has a bias, which is not penalized; without one it is 0.
    """

    features: Tensor
    labels: Tensor
    weights: Tensor | None
    num_classes: int
    has_bias: bool = True

    def solve(self, folds: Sequence[NDArray[np.int64]]) -> Head:
        """Return the head with the penalty whose mean loss in cross-validation is smallest.

        Args:
            folds: indices of the images of each fold. Images in none of them do not take part in the choice.
        """
        with self._suitable_threads():
            penalty, cv_loss = self._choose_penalty(folds)
            coefficients = self._minimize(np.arange(len(self.labels)), penalty, _TOLERANCE)
        weight = coefficients[:, :-1] @ self._axes.T / self._scale
        bias = coefficients[:, -1] - weight @ self._mean
        return Head(torch.from_numpy(weight), torch.from_numpy(bias), penalty, cv_loss)

    def held_out_logits(self, folds: Sequence[NDArray[np.int64]]) -> tuple[Tensor, float]:
        """Return the logits of each image by the head that was fitted without its fold, and their mean loss.

        The penalty is that with the smallest loss, so the loss is slightly optimistic.
        """
        with self._suitable_threads():
            penalty, loss = self._choose_penalty(folds)
            logits = np.zeros((len(self.labels), self.num_classes))
            pool = np.concatenate(folds)
            for fold in folds:
                logits[fold] = self._logits(self._minimize(np.setdiff1d(pool, fold), penalty, _CV_TOLERANCE), fold)
        return torch.from_numpy(logits), loss

    def _suitable_threads(self) -> AbstractContextManager[object]:
        """Use one thread for a small problem: two would wait for each other longer than they compute.

        On a busy machine with two cores, one thread took a tenth of the time of two.
        """
        is_small = len(self.labels) * min(self.features.shape) * self.num_classes <= _SMALL_PROBLEM
        return threadpool_limits(1, "blas") if is_small else nullcontext()

    def _choose_penalty(self, folds: Sequence[NDArray[np.int64]]) -> tuple[float, float]:
        """Return the best penalty and its mean loss.

        The loss has one minimum, so the search starts at a usual penalty, and walks downhill until the loss rises.
        """
        pool = np.concatenate(folds)
        training = [np.setdiff1d(pool, fold) for fold in folds]
        starts: list[Array | None] = [None] * len(folds)
        losses: dict[int, float] = {}

        def loss_at(index: int) -> float:
            total = 0.0
            for number, (fold, rest) in enumerate(zip(folds, training, strict=True)):
                starts[number] = fitted = self._minimize(rest, PENALTIES[index], _CV_TOLERANCE, starts[number])
                total += self._loss(self._logits(fitted, fold), fold)[0]
            losses[index] = total / len(pool)
            return losses[index]

        step = 1 if loss_at(_FIRST_PENALTY) > loss_at(_FIRST_PENALTY + 1) else -1
        index = max(losses) + 1 if step == 1 else min(losses) - 1
        while 0 <= index < len(PENALTIES) and loss_at(index) < losses[index - step]:
            index += step
        best = min(losses, key=losses.__getitem__)
        return PENALTIES[best], losses[best]

    def _minimize(self, rows: NDArray[np.int64], penalty: float, tolerance: float, start: Array | None = None) -> Array:
        """Return the coefficients (classes, r + 1) that minimize the mean loss of these images and the penalty.

        The coordinates have different variances. Each is divided by the root of its curvature, so that L-BFGS takes
        tens of steps, not hundreds.
        """
        curvature = np.append(_LOGISTIC_CURVATURE * self._variances, _LOGISTIC_CURVATURE)
        strength = np.full_like(curvature, penalty)
        strength[-1] = 0.0
        scale = 1 / np.sqrt(curvature + strength)
        scale[-1] *= self.has_bias
        coordinates, shape = self._coordinates[rows], (self.num_classes, len(curvature))

        def objective(values: Array) -> tuple[float, Array]:
            coefficients = values.reshape(shape) * scale
            loss, slopes = self._loss(coordinates @ coefficients.T, rows)
            value = loss / len(rows) + (strength * coefficients**2).sum() / 2
            gradient = slopes.T @ coordinates / len(rows) + strength * coefficients
            return value, (gradient * scale).ravel()

        first = np.zeros(shape) if start is None else np.divide(start, scale, np.zeros(shape), where=scale > 0)
        options = {"maxiter": _MAX_ITERATIONS, "gtol": tolerance, "ftol": 0.0}
        result = minimize(objective, first.ravel(), jac=True, method="L-BFGS-B", options=options)
        solution: Array = result.x.reshape(shape) * scale
        return solution

    def _loss(self, logits: Array, rows: NDArray[np.int64]) -> tuple[float, Array]:
        """Return the sum of the losses of these images, and its derivatives with respect to their logits."""
        targets = self._targets[rows]
        if self.labels.ndim == 1:
            shifted = logits - logits.max(1, keepdims=True)
            exponentials = np.exp(shifted)
            sums = exponentials.sum(1)
            losses, slopes = np.log(sums) - (shifted * targets).sum(1), exponentials / sums[:, None] - targets
        else:
            losses, slopes = (np.logaddexp(0, logits) - targets * logits).sum(1), expit(logits) - targets
        if self.weights is not None:
            weights = self.weights.numpy()[rows].astype(np.float64)
            losses, slopes = losses * weights, slopes * weights[:, None]
        return float(losses.sum()), slopes

    def _logits(self, coefficients: Array, rows: NDArray[np.int64]) -> Array:
        logits: Array = self._coordinates[rows] @ coefficients.T
        return logits

    @cached_property
    def _targets(self) -> Array:
        """The wanted probabilities, (n, classes)."""
        labels = self.labels.numpy()
        return np.eye(self.num_classes)[labels] if labels.ndim == 1 else labels.astype(np.float64)

    @cached_property
    def _exact(self) -> Array:
        return self.features.double().numpy()

    @cached_property
    def _mean(self) -> Array:
        """What is subtracted from the features. Without a bias nothing is, since it could not be undone."""
        mean: Array = self._exact.mean(0)
        return mean if self.has_bias else np.zeros_like(mean)

    @cached_property
    def _scale(self) -> float:
        """Root of the mean squared length of the centered features."""
        squared_lengths = ((self._exact - self._mean) ** 2).sum(1)
        return max(float(np.sqrt(squared_lengths.mean())), float(np.finfo(np.float32).tiny))

    @cached_property
    def _principal(self) -> tuple[Array, Array]:
        """Principal axes (d, r) of the scaled features, and the variance (r,) along each.

        The penalty does not depend on the rotation. Fewer images than features span fewer dimensions, so the smaller
        of the two Gram matrices is decomposed.
        """
        scaled = (self._exact - self._mean) / self._scale
        n, d = scaled.shape
        values, vectors = np.linalg.eigh((scaled @ scaled.T if n < d else scaled.T @ scaled) / n)
        is_kept = values > values[-1] * 1e-12
        values, vectors = values[is_kept], vectors[:, is_kept]
        return scaled.T @ vectors / np.sqrt(n * values) if n < d else vectors, values

    @property
    def _axes(self) -> Array:
        return self._principal[0]

    @property
    def _variances(self) -> Array:
        return self._principal[1]

    @cached_property
    def _coordinates(self) -> Array:
        """The images in the coordinates of the principal axes and, last, 1 for the bias; (n, r + 1)."""
        coordinates = (self._exact - self._mean) / self._scale @ self._axes
        return np.column_stack([coordinates, np.ones(len(coordinates))])
