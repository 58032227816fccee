"""Fine-tuning: first fits a linear probe, then trains the last layers of the backbone, and finally all layers.

A random last layer would cause large gradients that distort the features; a fitted one does not (Kumar et al.,
"Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution", ICLR 2022). Earlier layers get lower
learning rates (Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018).
"""

from __future__ import annotations

from typing import Any

from torch import nn

from tinysight.runs.records import EpochRecord
from tinysight.training import optimizers
from tinysight.training.probe import FeatureHead
from tinysight.training.trainer import Trainer

FIRST_LAYER_RATE = 0.1  # learning rate of the first layer, relative to that of the last
LAST_LAYERS = 0.5  # fraction of the layers, counted from the output, that are trained first
MAX_HEAD_IMAGES = 5000  # to which the probe is fitted; beyond that, the time is better spent on training
ALL_FROM = 0.3  # fraction of the training after which all layers are trained


class FineTuneTrainer(Trainer):
    """Trains a probe in the first epoch, and the weights of its backbone in all others.

    With `early_stopping.restore_best_weights`, the weights of the best epoch are kept. The first epoch is the probe, so
    the result is not worse than the probe by the monitored validation metric.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.head = FeatureHead(self, MAX_HEAD_IMAGES)
        self._layers = [layer for layer in self.network.modules() if list(layer.parameters(recurse=False))]
        last = max(1, len(self._layers) - 1)
        rates = [
            (parameter, FIRST_LAYER_RATE ** (1 - number / last))
            for number, layer in enumerate(self._layers)
            for parameter in layer.parameters(recurse=False)
        ]
        parameters, factors = zip(*rates, strict=True)
        self.optimizer = optimizers.build_optimizer(parameters, self.recipe.optimizer, self.precision, factors)

    def step(self) -> int:
        """Compute features in the first epoch; later, train on the next batch. Return the number of images."""
        return self.head.step() if self._is_probing else super().step()

    def step_scores(self) -> dict[str, float]:
        """Return the mean loss and the accuracy of the epoch so far; no scores in the first epoch."""
        return {} if self._is_probing else super().step_scores()

    def end_epoch(self) -> EpochRecord:
        """Validate, record the metrics and move to the next epoch. In the first epoch, fit the last layer before."""
        if self._is_probing:
            self.head.fit()
        return super().end_epoch()

    @property
    def _is_probing(self) -> bool:
        return self.state.epoch == 0

    def _set_train_mode(self) -> None:
        """Freeze the first layers at the start of the training. Keep the batch statistics of the backbone throughout.

        A short training has too few batches to estimate new statistics.
        """
        super()._set_train_mode()
        n_frozen = 0 if self.progress >= ALL_FROM else round(len(self._layers) * (1 - LAST_LAYERS))
        for number, layer in enumerate(self._layers):
            layer.requires_grad_(number >= n_frozen)
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
