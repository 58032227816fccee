"""Process group of data-parallel workers, and its collective operations."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from tinysight._util.errors import TinysightError, WorkerLostError
from tinysight._util.hardware import usable_cores

COLLECTIVE_TIMEOUT = timedelta(hours=1)  # the main worker alone may decode a large folder, which takes long

T = TypeVar("T")


@dataclass(frozen=True)
class ProcessGroup:
    """Process group of a training run. All workers must call the collective methods in the same order.

    With one worker the methods do no communication. With several they raise WorkerLostError if another worker has
    failed or ended.

    Attributes:
        rank: index of this worker, from 0; only worker 0, the main worker, accesses the run directory.
        size: number of workers.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the main worker, which writes the run and shows progress."""
        return self.rank == 0

    def local_slice(self, length: int) -> slice:
        """Return this worker's slice of a sequence of `length`."""
        return split_evenly(length, self.size)[self.rank]

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Replace each float32 tensor, all on one device, by its sum over workers; bitwise equal on all."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])  # one message is faster than many
        with _translate_errors():
            dist.all_reduce(flat)
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, total in zip(tensors, flat.split(sizes), strict=True):
            tensor.detach().copy_(total.view_as(tensor))

    def any_rank(self, value: bool) -> bool:
        """Return whether the value is True on any worker."""
        count = torch.tensor([float(value)])
        self.all_reduce([count])
        return bool(count)

    def run_on_main(self, function: Callable[[], T]) -> T:
        """Run `function` on the main worker and broadcast its result, or raise its TinysightError, on all."""
        if self.size == 1:
            return function()
        results: list[T | TinysightError | None] = [_result_or_error(function) if self.is_main else None]
        with _translate_errors():
            dist.broadcast_object_list(results)
        if isinstance(results[0], TinysightError):
            raise results[0]
        return results[0]  # type: ignore[return-value]  # T: the main worker's result

    def main_first(self, function: Callable[[], T]) -> T:
        """Run `function` on the main worker first, so that the others find its result in the cache."""
        result = function() if self.is_main else None
        self.any_rank(False)  # a barrier
        return function() if result is None else result


SINGLE = ProcessGroup()


@contextmanager
def join_group() -> Iterator[ProcessGroup]:
    """Join the process group that torchrun's environment variables describe, and leave it after the block.

    Raises:
        WorkerLostError: the group could not be formed.
    """
    local_count = int(os.environ["LOCAL_WORLD_SIZE"])
    threads = max(1, usable_cores() // local_count)  # more would make the workers of a machine compete for cores
    torch.set_num_threads(min(threads, torch.get_num_threads()))
    try:
        if not dist.is_initialized():  # Ray initializes it
            _init_process_group(local_count)
        yield ProcessGroup(dist.get_rank(), dist.get_world_size())
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()  # pending calls of the other workers now fail


def split_evenly(length: int, count: int) -> list[slice]:
    """Split range(length) into `count` contiguous slices whose lengths differ by at most 1, longer ones first."""
    size, longer = divmod(length, count)
    ends = [size * number + min(number, longer) for number in range(count + 1)]
    return [slice(start, end) for start, end in pairwise(ends)]


def choose_backend(gpu_per_worker: bool) -> str:
    """Return the communication backend: gloo, and NCCL on CUDA if each worker has a GPU of its own."""
    return "cpu:gloo,cuda:nccl" if gpu_per_worker else "gloo"


def _init_process_group(local_count: int) -> None:
    """Initialize torch's process group; `local_count` of its workers run on this machine."""
    gpus = torch.cuda.device_count()
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % gpus)
    with _translate_errors():
        store, rank, count = next(rendezvous("env://"))
        # After a restart torchrun's store still holds the addresses of the earlier workers.
        attempt = PrefixStore(f"attempt {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
        dist.init_process_group(
            choose_backend(gpus >= local_count), store=attempt, rank=rank, world_size=count, timeout=COLLECTIVE_TIMEOUT
        )


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Turn torch's RuntimeError into WorkerLostError: torch has no class for the loss of a worker."""
    try:
        yield
    except RuntimeError as error:
        raise WorkerLostError("Another worker failed. Ending this one.") from error


def _result_or_error(work: Callable[[], T]) -> T | TinysightError:
    try:
        return work()
    except TinysightError as error:
        return error
