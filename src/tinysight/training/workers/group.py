"""Several processes that train one network, each called a worker: what one of them asks of the others."""

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

from tinysight.errors import TinysightError, WorkerLostError
from tinysight.machine import usable_cores

PATIENCE = timedelta(hours=1)  # what one worker does alone, such as decoding a large folder, may take that long

T = TypeVar("T")


@dataclass(frozen=True)
class Workers:
    """The group that this process belongs to. All of them must ask the same things in the same order.

    Alone, a worker gets at once what it asks for. In a group every method raises WorkerLostError when another worker
    is gone: ended by an error of its own, or killed.

    Attributes:
        rank: which of the workers this is, from 0; the first alone touches the run directory.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that keeps the run and tells how it goes."""
        return self.rank == 0

    def own(self, length: int) -> slice:
        """Return this worker's share of `length` things in a row."""
        return spans(length, self.count)[self.rank]

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Put into each tensor, float32 on one device, the sum of what all workers have there: the same to the bit."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])  # one message instead of many
        with _together():
            dist.all_reduce(flat)
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, total in zip(tensors, flat.split(sizes), strict=True):
            tensor.detach().copy_(total.view_as(tensor))

    def any(self, here: bool) -> bool:
        """Return whether something is so with one worker at least."""
        found = torch.tensor([float(here)])
        self.sum([found])
        return bool(found)

    def of_first(self, work: Callable[[], T]) -> T:
        """Have the first worker do `work`, and return to all what it returned, or raise its TinysightError."""
        if self.count == 1:
            return work()
        found: list[T | TinysightError | None] = [_tried(work) if self.first else None]
        with _together():
            dist.broadcast_object_list(found)
        if isinstance(found[0], TinysightError):
            raise found[0]
        return found[0]  # type: ignore[return-value]  # which is what `work` of the first returned

    def in_turn(self, work: Callable[[], T]) -> T:
        """Do `work` when the first worker has done it: it may have left something in the cache."""
        found = work() if self.first else None
        self.any(False)
        return work() if found is None else found


ALONE = Workers()


@contextmanager
def joined() -> Iterator[Workers]:
    """Be a worker inside the block, in the group that the engine put into the environment, as torchrun does.

    Raises:
        WorkerLostError: the group never came together.
    """
    beside = int(os.environ["LOCAL_WORLD_SIZE"])
    share = max(1, usable_cores() // beside)  # with more threads, the workers on one machine would take turns
    torch.set_num_threads(min(share, torch.get_num_threads()))
    try:
        if not dist.is_initialized():  # Ray has done it
            _connect(beside)
        yield Workers(dist.get_rank(), dist.get_world_size())
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()  # from now on the others know that this one is gone


def spans(length: int, count: int) -> list[slice]:
    """Cut 0..length into `count` neighbouring spans, as even as can be, the longer ones first."""
    size, longer = divmod(length, count)
    ends = [size * number + min(number, longer) for number in range(count + 1)]
    return [slice(start, end) for start, end in pairwise(ends)]


def backend(a_card_each: bool) -> str:
    """Return by what workers talk to each other: NCCL, if each has a graphics card of its own, and gloo."""
    return "cpu:gloo,cuda:nccl" if a_card_each else "gloo"


def _connect(beside: int) -> None:
    """Come together with those whom torchrun has started at the same time, `beside` of them on this machine."""
    cards = torch.cuda.device_count()
    if cards:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % cards)
    with _together():
        store, rank, count = next(rendezvous("env://"))
        # torchrun keeps its store when it starts workers anew, and in it the addresses of those before.
        attempt = PrefixStore(f"attempt {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
        dist.init_process_group(backend(cards >= beside), store=attempt, rank=rank, world_size=count, timeout=PATIENCE)


@contextmanager
def _together() -> Iterator[None]:
    """Tell by its own name that a worker is gone: torch has no error class for that which covers every case."""
    try:
        yield
    except RuntimeError as error:
        raise WorkerLostError("Another worker of this training is gone, and with it this one ends.") from error


def _tried(work: Callable[[], T]) -> T | TinysightError:
    try:
        return work()
    except TinysightError as error:
        return error
