"""Linear probe: trains only the last layer of a network, on the features of its frozen body.

Sources: Alain and Bengio, "Understanding intermediate layers using linear classifier probes" (2017);
Kornblith et al., "Do Better ImageNet Models Transfer Better?" (CVPR 2019).
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinysight._util.errors import RecipeError, StorageError
from tinysight.data.dataset import Pixels, Split
from tinysight.data.pixels import take
from tinysight.data.splits import stratified_folds
from tinysight.models.classifier import Classifier, iter_batches
from tinysight.models.families.fast import ScaledLinear
from tinysight.models.fusion import fused
from tinysight.models.network import embed
from tinysight.models.ood import OodDetector
from tinysight.runs.feature_cache import FeatureCache, network_key
from tinysight.runs.records import EpochRecord
from tinysight.training.head import HeadProblem
from tinysight.training.precision import Precision, autocast
from tinysight.training.seeding import derive_seed
from tinysight.training.trainer import Trainer

N_FOLDS = 5  # of the cross-validation that chooses the penalty
MAX_CV_IMAGES = 5000  # used to choose the penalty; more take longer and hardly change it


class FeatureHead:
    """The last layer of a trainer's network, fitted to the features of its frozen body by logistic regression.

    The L2 penalty is chosen by cross-validation. The features are computed batch by batch, so that training on a large
    dataset can be interrupted and resumed. They are cached by the content of the images.
    """

    def __init__(self, trainer: Trainer, max_images: int | None = None) -> None:
        """Select the training images of `trainer` to fit to: all, or `max_images` of them, drawn at random."""
        self.trainer, self.layer = trainer, last_linear(trainer.network)
        learn = trainer.split.train_indices
        random = np.random.default_rng(derive_seed(trainer.seed, "probe images"))
        self._rows = learn if max_images is None else np.sort(random.permutation(learn)[:max_images])
        body = {
            name: tensor
            for name, tensor in trainer.network.state_dict(keep_vars=True).items()
            if tensor is not self.layer.weight and tensor is not self.layer.bias
        }
        spec = trainer.classifier.spec
        settings = (spec.model.input_size, spec.image_size, spec.mean, spec.std)
        precisions: set[Precision] = {trainer.precision, "fp32"}  # the classifier is calibrated in fp32
        self._caches = {precision: FeatureCache(network_key(body, *settings, precision)) for precision in precisions}
        self._body = fused(trainer.network)

    def features(self, pixels: Pixels, precision: Precision | None = None) -> Tensor:
        """Return the features (n, d), float32, of uint8 images (n, 3, height, width).

        They are computed in the precision of the trainer, or in `precision` if that is fp32.
        """
        precision = precision or self.trainer.precision
        return self._caches[precision].features(pixels, partial(self._compute, precision=precision))

    def save(self) -> None:
        """Save the new features, so that the next training need not compute them."""
        with suppress(StorageError):  # without the cache, the features are computed again next time
            for cache in self._caches.values():
                cache.save()

    def step(self) -> int:
        """Compute the features of the next batch of the trainer's epoch, and return its number of images."""
        start, state, split = time.perf_counter(), self.trainer.state, self.trainer.split
        size = self.trainer.recipe.training.batch_size
        rows = self._rows[state.step * size : (state.step + 1) * size]
        if len(rows):
            self.features(take(split.train.pixels, rows))
        count = len(split.train_indices[state.step * size : (state.step + 1) * size])
        state.images, state.step = state.images + count, state.step + 1
        state.seconds += time.perf_counter() - start
        return count

    def fit(self) -> None:
        """Fit the last layer to all training images, and record the training scores in the state of the trainer."""
        start, state, rows = time.perf_counter(), self.trainer.state, self._rows
        train, weights = self.trainer.split.train, self.trainer.loader.image_weights
        features, labels = self.features(take(train.pixels, rows)), torch.from_numpy(train.labels[rows])
        problem = HeadProblem(
            features,
            labels,
            None if weights is None else torch.from_numpy(weights[rows]),
            len(self.trainer.classifier.class_names),
            has_bias=self.layer.bias is not None,
        )
        fitted = problem.solve(self._folds(rows))
        with torch.no_grad():
            scale = self.layer.in_features if isinstance(self.layer, ScaledLinear) else 1
            self.layer.weight.copy_(fitted.weight * scale)
            if self.layer.bias is not None:
                self.layer.bias.copy_(fitted.bias)
            logits = self.layer(features)
            state.images = len(rows)
            state.loss_sum = float(self.trainer.objective.loss(logits, labels, 0.0, None))
            state.correct = self.trainer.objective.count_correct(logits, labels)
        state.seconds += time.perf_counter() - start
        self.save()

    def _folds(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return the positions in `rows` of the images of each fold."""
        seed, train = derive_seed(self.trainer.seed, "probe folds"), self.trainer.split.train
        chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:MAX_CV_IMAGES])
        groups = [train.groups[row] for row in rows[chosen]] if train.groups else range(len(chosen))
        parts = stratified_folds(train.labels[rows[chosen]], groups, N_FOLDS, seed)
        return [chosen[part] for part in parts if len(part)]

    @torch.inference_mode()
    def _compute(self, pixels: Pixels, precision: Precision) -> Tensor:
        trainer, rows = self.trainer, []
        for batch in iter_batches(pixels, trainer.recipe.model.input_size):
            images = torch.from_numpy(batch).to(trainer.device).float().contiguous(memory_format=torch.channels_last)
            with autocast(precision, trainer.device):
                rows.append(embed(self._body, trainer.classifier.spec.normalization(images)).float().cpu())
        return torch.cat(rows)


class ProbeTrainer(Trainer):
    """Trains only the last layer. Its only epoch computes the features step by step, and fits the layer at the end."""

    saves_epochs = False  # its only epoch ends the training, and with cached features it takes a second

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.head = FeatureHead(self)

    @property
    def progress(self) -> float:
        """Fraction of the features that are computed, 0..1. It does not depend on a time budget."""
        steps = self.state.epoch * self.loader.steps_per_epoch + self.state.step
        return min(1.0, steps / self.loader.steps_per_epoch)

    def step(self) -> int:
        """Compute the features of the next batch and return its number of images."""
        return self.head.step()

    def step_scores(self) -> dict[str, float]:
        """Return no scores: there is no loss before the last layer is fitted."""
        return {}

    def end_epoch(self) -> EpochRecord:
        """Fit the last layer, then validate it and record the metrics."""
        self.head.fit()
        return super().end_epoch()

    def calibrate(self, classifier: Classifier) -> Classifier:
        """Return `classifier` with its calibration and its OOD detector; see `Trainer.calibrate`."""
        calibrated = super().calibrate(classifier)
        self.head.save()
        return calibrated

    @torch.inference_mode()
    def _predict(
        self, split: Split, precision: Precision, detector: OodDetector | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (n, classes) of the current weights, labels and OOD scores, from cached features."""
        features = self.head.features(split.pixels, precision)
        logits = self.head.layer(features).float()
        scores = torch.full((len(split),), math.nan) if detector is None else detector.scores(features, logits)
        return logits, torch.from_numpy(split.labels), scores

    @torch.inference_mode()
    def _embed(self, pixels: Pixels) -> tuple[Tensor, Tensor]:
        """Return the logits and embeddings of images. The embeddings are cached, in the trainer's precision."""
        features = self.head.features(pixels)
        return self.head.layer(features).float(), features


def last_linear(network: nn.Module) -> nn.Linear:
    """Return the last layer of a network. Raises RecipeError if it is not linear."""
    layers = [layer for layer in network.modules() if list(layer.parameters(recurse=False))]
    if not isinstance(layers[-1], nn.Linear):
        raise RecipeError(
            "model.backbone: its network does not end in a linear layer, which a probe needs. Use another backbone."
        )
    return layers[-1]
