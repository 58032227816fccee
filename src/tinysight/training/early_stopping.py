"""When to stop before the last epoch: Keras' EarlyStopping, as a small state that can be saved."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinysight.recipes.schema import EarlyStopping
from tinysight.runs.records import Epoch


@dataclass
class Watch:
    """Watches one figure of every epoch.

    Attributes:
        config: what to watch and how patiently.
        best: the best value so far.
        best_epoch: when it was reached; 0 before the first epoch.
        waited: epochs since then.
    """

    config: EarlyStopping
    best: float = math.nan
    best_epoch: int = 0
    waited: int = 0

    def see(self, epoch: Epoch) -> bool:
        """Take note of an epoch and return whether it is the best so far."""
        value = getattr(epoch, self.config.monitor)
        sign = 1 if self.config.monitor.endswith("accuracy") else -1
        improved = self.best_epoch == 0 or sign * (value - self.best) > self.config.min_delta
        if improved:
            self.best, self.best_epoch, self.waited = value, epoch.epoch, 0
        else:
            self.waited += 1
        return improved

    @property
    def over(self) -> bool:
        """Whether training should stop now. Like Keras, never before two epochs have been compared."""
        return self.waited > 0 and self.waited >= self.config.patience
