"""Workers as threads of one process, without a launcher."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tinysight.data.splits import split_dataset
from tinysight.training.distributed.gradient_sync import GradientSync
from tinysight.training.distributed.process_group import SINGLE, ProcessGroup
from tinysight.training.trainer import Trainer


@dataclass(frozen=True)
class ThreadGroup(ProcessGroup):
    """A process group of threads that meet at a barrier."""

    barrier: threading.Barrier | None = None
    values: list | None = None

    def _all_gather(self, value):
        """Return the values of all threads."""
        self.values[self.rank] = value
        self.barrier.wait(60)
        gathered = list(self.values)
        self.barrier.wait(60)
        return gathered

    def all_reduce(self, tensors):
        copies = self._all_gather([tensor.clone() for tensor in tensors])
        for tensor, *others in zip(tensors, *copies, strict=True):
            tensor.copy_(sum(others))

    def any_rank(self, value):
        return any(self._all_gather(value))

    def run_on_main(self, function):
        return self._all_gather(function() if self.is_main else None)[0]


@pytest.fixture
def together():
    """Return a function that runs `work(workers)` in `count` threads and returns their results."""

    def run(count, work):
        barrier, values = threading.Barrier(count), [None] * count
        workers = [ThreadGroup(rank, count, barrier, values) for rank in range(count)] if count > 1 else [SINGLE]
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(work, workers))

    return run


@pytest.fixture
def trainers(dataset, recipe):
    """Return a function from a number of workers and `key=value` overrides to as many separate trainers."""

    def make(count, *changes):
        settled = recipe(*changes)
        images = split_dataset(dataset, settled.data, 0)
        # In sequence, since their weights are drawn from the global generator.
        return [Trainer(settled, dataset, images, 0, "fp32") for _ in range(count)]

    return make


@pytest.fixture
def join():
    """Return a function that puts a trainer into a group."""

    def join(trainer, workers):
        trainer.group, trainer.gradient_sync = (
            workers,
            GradientSync(workers, trainer.network, trainer.recipe.training),
        )
        return trainer

    return join
