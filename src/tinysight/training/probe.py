"""Linear probe: trains only the last layer of a network, on the features of its frozen body.

Source: Alain and Bengio, "Understanding intermediate layers using linear classifier probes" (2017); as a measure of
transfer, Kornblith et al., "Do Better ImageNet Models Transfer Better?" (CVPR 2019).
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinysight._util.errors import RecipeError, StorageError
from tinysight.data.dataset import Pixels, Split
from tinysight.data.pixels import take
from tinysight.data.splits import folds
from tinysight.models.classifier import iter_batches
from tinysight.models.families.fast import ScaledLinear
from tinysight.models.fusion import fused
from tinysight.models.network import embed
from tinysight.runs.feature_cache import FeatureCache, network_key
from tinysight.runs.records import EpochRecord
from tinysight.training.head import HeadProblem
from tinysight.training.precision import Precision, autocast
from tinysight.training.seeding import derive_seed
from tinysight.training.trainer import Trainer

N_FOLDS = 5  # of the cross-validation that chooses the penalty
MAX_CV_IMAGES = 5000  # which choose it; more take longer and hardly change it


class ProbeTrainer(Trainer):
    """Fits the last layer by logistic regression, with an L2 penalty chosen by cross-validation.

    A step computes the features of a batch of images, so that a large dataset can be interrupted and resumed. They are
    cached by the content of the images. At the end of the only epoch, the last layer is fitted.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.head = _last_linear(self.network)
        body = {
            name: tensor
            for name, tensor in self.network.state_dict(keep_vars=True).items()
            if tensor is not self.head.weight and tensor is not self.head.bias
        }
        spec = self.classifier.spec
        settings = (spec.model.input_size, spec.image_size, spec.mean, spec.std, self.precision)
        self.cache = FeatureCache(network_key(body, *settings))
        self._body = fused(self.network)

    @property
    def progress(self) -> float:
        """Fraction of the features that are computed, 0..1; a time limit does not shorten it."""
        steps = self.state.epoch * self.loader.steps_per_epoch + self.state.step
        return min(1.0, steps / self.loader.steps_per_epoch)

    def step(self) -> int:
        """Compute the features of the next batch and return its number of images."""
        start, state, size = time.perf_counter(), self.state, self.recipe.training.batch_size
        rows = self.split.train_indices[state.step * size : (state.step + 1) * size]
        self._features(take(self.split.train.pixels, rows))
        state.images, state.step = state.images + len(rows), state.step + 1
        state.seconds += time.perf_counter() - start
        return len(rows)

    def step_scores(self) -> dict[str, float]:
        """Return nothing: there is no loss before the last layer is fitted."""
        return {}

    def end_epoch(self) -> EpochRecord:
        """Fit the last layer, then validate it and record the metrics."""
        start, state, rows = time.perf_counter(), self.state, self.split.train_indices
        features = self._features(take(self.split.train.pixels, rows))
        labels = torch.from_numpy(self.split.train.labels[rows])
        weights = self.loader.image_weights
        problem = HeadProblem(
            features,
            labels,
            None if weights is None else torch.from_numpy(weights[rows]),
            len(self.classifier.class_names),
            self._loss,
            has_bias=self.head.bias is not None,
        )
        fitted = problem.solve(self._folds(rows))
        with torch.no_grad():
            scale = self.head.in_features if isinstance(self.head, ScaledLinear) else 1
            self.head.weight.copy_(fitted.weight * scale)
            if self.head.bias is not None:
                self.head.bias.copy_(fitted.bias)
            logits = self.head(features)
            state.loss_sum = float(self._loss(logits, labels, None))
            state.correct = self.objective.count_correct(logits, labels)
        state.seconds += time.perf_counter() - start
        with suppress(StorageError):  # a cache that cannot be written costs time, nothing else
            self.cache.save()
        return super().end_epoch()

    def _folds(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return the positions in `rows` of the images of each fold: by class where possible, groups stay whole."""
        random = np.random.default_rng(derive_seed(self.seed, "probe folds"))
        chosen = np.sort(random.permutation(len(rows))[:MAX_CV_IMAGES])
        labels, groups = self.split.train.labels[rows[chosen]], None
        if self.split.train.groups:
            _, groups = np.unique([self.split.train.groups[row] for row in rows[chosen]], return_inverse=True)
        return [chosen[fold] for fold in folds(labels, groups, N_FOLDS, derive_seed(self.seed, "probe folds"))]

    def _loss(self, logits: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
        return self.objective.loss(logits, labels, self.recipe.training.label_smoothing, weights)

    def _predict_logits(self, split: Split, precision: Precision) -> tuple[Tensor, Tensor]:
        """Return logits (n, classes) of the current weights, and labels; the features are computed once."""
        if precision != self.precision:
            return super()._predict_logits(split, precision)
        with torch.inference_mode():
            return self.head(self._features(split.pixels)).float(), torch.from_numpy(split.labels)

    def _features(self, pixels: Pixels) -> Tensor:
        return self.cache.features(pixels, self._compute)

    @torch.inference_mode()
    def _compute(self, pixels: Pixels) -> Tensor:
        rows = []
        for batch in iter_batches(pixels):
            images = torch.from_numpy(batch).to(self.device).float().contiguous(memory_format=torch.channels_last)
            with autocast(self.precision, self.device):
                rows.append(embed(self._body, self.classifier.spec.normalization(images)).float().cpu())
        return torch.cat(rows)


def _last_linear(network: nn.Module) -> nn.Linear:
    """Return the last layer of a network. Raises RecipeError if it is not linear."""
    layers = [layer for layer in network.modules() if list(layer.parameters(recurse=False))]
    if not isinstance(layers[-1], nn.Linear):
        raise RecipeError("training.method probe: the network does not end in a linear layer. Use another backbone.")
    return layers[-1]
