"""Workers that are threads of one process: as many as a test asks for, without starting any engine."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tinysight.training.images import cut
from tinysight.training.trainer import Trainer
from tinysight.training.workers.group import ALONE, spans
from tinysight.training.workers.joint import JointStep


class Thread:
    """What `Workers` is, for one of several threads that meet at a barrier."""

    def __init__(self, rank, count, barrier, board):
        self.rank, self.count, self.barrier, self.board = rank, count, barrier, board
        self.first = rank == 0

    def _put(self, value):
        """Return what every thread has put on the board."""
        self.board[self.rank] = value
        self.barrier.wait(60)
        found = list(self.board)
        self.barrier.wait(60)
        return found

    def own(self, length):
        return spans(length, self.count)[self.rank]

    def sum(self, tensors):
        copies = self._put([tensor.clone() for tensor in tensors])
        for tensor, *others in zip(tensors, *copies, strict=True):
            tensor.copy_(sum(others))

    def any(self, here):
        return any(self._put(here))

    def of_first(self, work):
        return self._put(work() if self.first else None)[0]


@pytest.fixture
def together():
    """Return a function that has `count` threads do `work(workers)` together, and returns what each returned."""

    def run(count, work):
        barrier, board = threading.Barrier(count), [None] * count
        workers = [Thread(rank, count, barrier, board) for rank in range(count)] if count > 1 else [ALONE]
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(work, workers))

    return run


@pytest.fixture
def trainers(dataset, recipe):
    """Return a function from a number of workers and `key=value` changes to as many trainers, not yet together."""

    def make(count, *changes):
        settled = recipe(*changes)
        images = cut(dataset, settled.data, 0)
        # One after the other: their fresh weights come from the one global generator.
        return [Trainer(settled, dataset, images, 0, "fp32") for _ in range(count)]

    return make


@pytest.fixture
def join():
    """Return a function that makes a trainer one of several workers."""

    def join(trainer, workers):
        trainer.workers, trainer.joint = workers, JointStep(workers, trainer.network, trainer.recipe.training)
        return trainer

    return join
