"""Early stopping with the semantics of Keras' EarlyStopping, as a state that can be saved.

With a time budget, patience also counts steps (`small_data`): an epoch of 240 images has only two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinysight.recipes.schema import EarlyStoppingSection
from tinysight.runs.records import EpochRecord
from tinysight.training.small_data import EPOCH_STEPS, FITTED_ACCURACY, FITTED_STEPS


@dataclass
class EarlyStoppingState:
    """Tracks one metric over the epochs.

    Attributes:
        config: the monitored metric, the patience and the minimum improvement.
        steps_per_epoch: steps of an epoch if there is a time budget, else None: patience then counts epochs alone.
        best: best value so far.
        best_epoch: epoch of the best value; 0 before the first epoch.
        wait: epochs since then.
        fitted: the last epochs in a row in which the network fitted the training images.
    """

    config: EarlyStoppingSection
    steps_per_epoch: int | None = None
    best: float = math.nan
    best_epoch: int = 0
    wait: int = 0
    fitted: int = 0

    def update(self, epoch: EpochRecord) -> bool:
        """Record an epoch and return whether it is the best so far."""
        self.fitted = self.fitted + 1 if epoch.accuracy >= FITTED_ACCURACY else 0
        value = getattr(epoch, self.config.monitor)
        sign = -1 if self.config.monitor.endswith("loss") else 1
        improved = self.best_epoch == 0 or sign * (value - self.best) > self.config.min_delta
        if improved:
            self.best, self.best_epoch, self.wait = value, epoch.epoch, 0
        else:
            self.wait += 1
        return improved

    def state(self) -> dict[str, float]:
        """Return the fields that change, to resume with."""
        return {"best": self.best, "best_epoch": self.best_epoch, "wait": self.wait, "fitted": self.fitted}

    def describe(self) -> str:
        """Return why training stopped and which weights are kept, in sentences."""
        epochs = "1 epoch" if self.wait == 1 else f"{self.wait} epochs"
        kept = f"epoch {self.best_epoch}" if self.config.restore_best_weights else "the last epoch"
        return (
            f"Early stopping: {self.config.monitor} has not improved for {epochs}, since {self.best:.4f} in epoch "
            f"{self.best_epoch}. Kept the weights of {kept}."
        )

    @property
    def should_stop(self) -> bool:
        """Whether to stop now. As in Keras, never before the second epoch."""
        return self.wait > 0 and self.wait >= self.config.patience and self._has_waited_in_steps

    @property
    def _has_waited_in_steps(self) -> bool:
        """Whether the patience has passed in steps, too; always true for epochs of at least `EPOCH_STEPS`."""
        if self.steps_per_epoch is None:
            return True
        fitted = min(self.wait, self.fitted)
        is_fitted = fitted >= self.config.patience and fitted * self.steps_per_epoch >= FITTED_STEPS
        return is_fitted or self.wait * self.steps_per_epoch >= self.config.patience * EPOCH_STEPS
