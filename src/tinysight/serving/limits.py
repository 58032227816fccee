"""What the server bears before it says no."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Limits:
    """What the server bears.

    Attributes:
        body: bytes of a picture.
        waiting: requests in hand at once; the next one is asked to come back.
        seconds: from the first byte of a request to its answer.
        batch: pictures that are classified at once.
        processes: in which the network runs, one a core; 0 for none of their own.
    """

    body: int = 10 * 2**20
    waiting: int = 64
    seconds: float = 10.0
    batch: int = 64
    processes: int = field(default_factory=torch.get_num_threads)
