"""What happens when a recipe asks for more memory than there is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tinysight.errors import TrainingError


@contextmanager
def enough_memory() -> Iterator[None]:
    """Turn a failed allocation in the block into a TrainingError that says what to make smaller."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch has no error class of its own for main memory, only these words.
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
            raise
        raise TrainingError(
            "There is not enough memory for this recipe; make data.image_size or training.batch_size smaller."
        ) from error
