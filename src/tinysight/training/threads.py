"""Number of threads for the training of a small probe, whose features are cached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

FEW_IMAGES = 100  # whose features take no longer than all else; with more, all threads are used
SMALL_DATASET = 2000  # images, whose features take less than a minute in one thread if they are not cached


@contextmanager
def probe_threads(n_images: int, n_new: int) -> Iterator[None]:
    """Let torch use one thread if few images are new: more would wait for each other longer than they compute.

    Args:
        n_images: number of images of the dataset.
        n_new: number of those whose features are not cached.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if n_images <= SMALL_DATASET and n_new <= FEW_IMAGES else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
