"""Seeds derived from the run's seed, a purpose and a position in training.

No generator outlives the step or block of batches it was made for, so there is no random state to save: a resumed run
draws the same numbers as an uninterrupted one.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch


def derive_seed(seed: int, purpose: str, *position: int) -> int:
    """Return a 63-bit seed for one purpose at one position of a run, such as (epoch, step)."""
    sequence = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *position])
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)


def seeded_generator(seed: int, purpose: str, *position: int) -> torch.Generator:
    """Return a new torch generator seeded by `derive_seed`."""
    return torch.Generator().manual_seed(derive_seed(seed, purpose, *position))
