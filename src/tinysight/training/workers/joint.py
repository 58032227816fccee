"""One step that several workers make together: what each learns from, and how what they found becomes one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tinysight.errors import RecipeError
from tinysight.recipes.schema import Training
from tinysight.training.workers.group import Workers, spans


class JointStep:
    """Cuts a batch into portions that go through the network at once, and gives each worker some of them, in order.

    Where layers normalise a portion by its own mean and variance, portions are as one worker alone would have them, and
    the running statistics that he would have come to are put together exactly: after k portions they are
    (1 - m)^k r + the sum of m (1 - m)^(k - i) b_i, with what the i-th portion adds, b_i, in the hands of one worker.

    Raises:
        RecipeError: there are more workers than portions in a batch.
    """

    def __init__(self, workers: Workers, network: nn.Module, training: Training) -> None:
        self.workers, self.training = workers, training
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        kinds = (nn.BatchNorm1d, nn.BatchNorm2d)
        self.normalising = [layer for layer in network.modules() if isinstance(layer, kinds)]
        most = self._count(training.batch_size)
        if workers.count > most:
            raise RecipeError(
                f"{workers.count} workers are too many for batches of {training.batch_size} images that go through the "
                f"network in {most} portions; take at most {most}, or smaller portions (training.ghost_batch_size)."
            )

    def begin(self, images: int) -> list[slice]:
        """Return the portions of a batch of so many images that are this worker's; there may be none."""
        every = spans(images, self._count(images))
        own = self.workers.own(len(every))
        self._own, self._after, self._every = len(every[own]), len(every[own.stop :]), len(every)
        if self.workers.count > 1:
            self._before = [statistic.clone() for _, statistic in self._statistics()]
        return every[own]

    def end(self, figures: Sequence[float]) -> list[float]:
        """Sum the gradients, the running statistics and some figures over the workers, and return the figures."""
        if self.workers.count == 1:
            return list(figures)
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        totals = torch.tensor(figures, device=gradients[0].device)
        self.workers.sum([*gradients, *self._contributions(), totals])
        return totals.tolist()

    def _count(self, images: int) -> int:
        """Return how many portions a batch of so many images has: more than asked for only where that is the same."""
        asked = max(1, images // (self.training.ghost_batch_size or images))
        if self.normalising:
            return asked
        return min(images, math.ceil(asked / self.workers.count) * self.workers.count)

    def _statistics(self) -> list[tuple[float, Tensor]]:
        """Return how much of each running statistic a portion leaves, and the statistic."""
        found = []
        for layer in self.normalising:
            for statistic in (layer.running_mean, layer.running_var):
                if statistic is not None and layer.momentum is not None:
                    found.append((1 - layer.momentum, statistic))
        return found

    def _contributions(self) -> list[Tensor]:
        """Turn what this worker's portions made of the running statistics into its part of what all of them make."""
        for layer in self.normalising:
            if layer.num_batches_tracked is not None:
                layer.num_batches_tracked += self._every - self._own
        for (left, statistic), before in zip(self._statistics(), self._before, strict=True):
            statistic.mul_(left**self._after)
            if not self.workers.first:  # who contributes what is left of the statistics before the step as well
                statistic.sub_(before, alpha=left ** (self._after + self._own))
        return [statistic for _, statistic in self._statistics()]
