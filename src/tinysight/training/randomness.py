"""Random numbers as a pure function of the seed and of where training stands.

No generator lives longer than the step or the block of batches it was made for, so there is no state to save: a
resumed run draws exactly what an uninterrupted one would have drawn.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch


def derive(seed: int, purpose: str, *position: int) -> int:
    """Return a 63-bit seed of its own for one purpose at one position (an epoch, a step or block in it) of a run."""
    sequence = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *position])
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)


def generator(seed: int, purpose: str, *position: int) -> torch.Generator:
    """Return a fresh torch generator seeded by `derive`."""
    return torch.Generator().manual_seed(derive(seed, purpose, *position))
