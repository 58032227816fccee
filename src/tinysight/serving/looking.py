"""Pictures in, probabilities out: what the processes do in which the network runs.

They are others than the one that speaks HTTP, since Python lets one thread of a process work at a time, and a network
is many small steps. Each has a network of its own and one thread: several threads on one picture would wait for each
other whenever something else takes a core.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tinysight.data.dataset import Pixels
from tinysight.data.intake import read_image
from tinysight.errors import ImageError
from tinysight.models.classifier import Classifier
from tinysight.runs.run import Run


@dataclass(frozen=True)
class Seen:
    """A picture as the classifier sees it, (3, height, width), and what it says of it, (classes,)."""

    pixels: Pixels
    probabilities: NDArray[np.float32]


Looked = Seen | ImageError


def look(classifier: Classifier, contents: Sequence[bytes]) -> list[Looked]:
    """Return what is on each picture, or why it cannot be said."""
    decoded = [_decoded(content, classifier.image_size) for content in contents]
    readable = [one for one in decoded if not isinstance(one, ImageError)]
    rows = iter(classifier.probabilities(np.stack(readable))) if readable else iter(())
    return [one if isinstance(one, ImageError) else Seen(one, next(rows)) for one in decoded]


def processes(run: Path, count: int) -> Executor:
    """Return so many processes that wait for `look_here`."""
    return ProcessPoolExecutor(count, get_context("spawn"), _open, (run,))


def look_here(contents: Sequence[bytes]) -> list[Looked]:
    """Return, in such a process, what `look` does."""
    return look(_opened[0], contents)


_opened: list[Classifier] = []  # the one of this process


def _open(run: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one, and ends it
    torch.set_num_threads(1)
    _opened.append(Run.open(run).classifier())


def _decoded(content: bytes, image_size: int) -> Pixels | ImageError:
    try:
        return read_image(content, (image_size, image_size))
    except ImageError as error:
        return error
