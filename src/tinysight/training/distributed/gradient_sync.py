"""Gradient synchronization: splits a batch among workers and sums their results."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tinysight._util.errors import RecipeError
from tinysight.recipes.schema import TrainingSection
from tinysight.training.distributed.process_group import ProcessGroup, split_evenly


class GradientSync:
    """Splits each batch into ghost batches, which pass through the network one by one, and shares them among workers.

    With batch normalization the ghost batches are those of a single worker, so that a step is equivalent up to
    rounding, running statistics included. After k ghost batches, statistics r become
    (1 - m)^k r + the sum of m (1 - m)^(k - i) b_i, where one worker holds the batch statistics b_i.

    Raises:
        RecipeError: there are more workers than ghost batches in a batch.
    """

    def __init__(self, group: ProcessGroup, network: nn.Module, training: TrainingSection) -> None:
        self.group, self.training = group, training
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        types = (nn.BatchNorm1d, nn.BatchNorm2d)
        self.batch_norms = [layer for layer in network.modules() if isinstance(layer, types)]
        max_workers = self._count_ghost_batches(training.batch_size)
        if group.size > max_workers:
            raise RecipeError(
                f"{group.size} workers: a batch of {training.batch_size} has only {max_workers} ghost batches. "
                "Use fewer workers or reduce training.ghost_batch_size."
            )

    def shard(self, images: int) -> list[slice]:
        """Return this worker's ghost batches, as slices of a batch of `images`; the list may be empty."""
        ghost_batches = split_evenly(images, self._count_ghost_batches(images))
        own = self.group.local_slice(len(ghost_batches))
        self._n_own, self._n_after = len(ghost_batches[own]), len(ghost_batches[own.stop :])
        self._n_total = len(ghost_batches)
        if self.group.size > 1:
            self._previous = [statistic.clone() for _, statistic in self._running_statistics()]
        return ghost_batches[own]

    def reduce(self, values: Sequence[float]) -> list[float]:
        """All-reduce the gradients, the running statistics and `values` in place; return the summed figures."""
        if self.group.size == 1:
            return list(values)
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        totals = torch.tensor(values, device=gradients[0].device)
        self.group.all_reduce([*gradients, *self._statistics_to_sum(), totals])
        return totals.tolist()

    def _count_ghost_batches(self, images: int) -> int:
        """Return the number of ghost batches; without batch normalization a multiple of the number of workers."""
        count = max(1, images // (self.training.ghost_batch_size or images))
        if self.batch_norms:
            return count
        return min(images, math.ceil(count / self.group.size) * self.group.size)

    def _running_statistics(self) -> list[tuple[float, Tensor]]:
        """Return each running statistic with the factor by which a ghost batch decays it."""
        statistics = []
        for layer in self.batch_norms:
            for statistic in (layer.running_mean, layer.running_var):
                if statistic is not None and layer.momentum is not None:
                    statistics.append((1 - layer.momentum, statistic))
        return statistics

    def _statistics_to_sum(self) -> list[Tensor]:
        """Replace each running statistic by this worker's term of the sum, and return them."""
        for layer in self.batch_norms:
            if layer.num_batches_tracked is not None:
                layer.num_batches_tracked += self._n_total - self._n_own
        for (decay, statistic), previous in zip(self._running_statistics(), self._previous, strict=True):
            statistic.mul_(decay**self._n_after)
            if not self.group.is_main:  # the main worker alone adds the decayed previous statistic
                statistic.sub_(previous, alpha=decay ** (self._n_after + self._n_own))
        return [statistic for _, statistic in self._running_statistics()]
