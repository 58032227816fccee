"""The job of a batch-prediction worker: classify one shard and write its rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from tinysight.bulk.output import Output
from tinysight.bulk.pictures import pictures
from tinysight.bulk.places import Place
from tinysight.bulk.rows import rows
from tinysight.bulk.units import Unit
from tinysight.evaluation.answering import Answering, Source
from tinysight.memory import keep_freed_memory

Numbered = tuple[int, Unit]
"""A shard and its number, counted from 0 in input order."""


@dataclass(frozen=True)
class Done:
    """Counts of a finished shard.

    Attributes:
        size: input bytes.
        rows: rows written.
        errors: how many of the rows hold an error instead of a prediction.
    """

    size: int
    rows: int
    errors: int


@dataclass(frozen=True)
class Work:
    """The settings of a job, sent to every worker.

    Attributes:
        source: where the classifier is stored.
        top: number of classes per row.
        input: the images.
        output: the directory of the rows.
    """

    source: Source
    top: int
    input: Place
    output: Output

    def do(self, numbered: Numbered) -> Done:
        """Predict a shard and write its rows. Idempotent."""
        number, unit = numbered
        torch.set_num_threads(1)  # one worker per core
        self.output.require_visible()
        batches = rows(_classifier(self.source), self.top, pictures(self.input, unit))
        return Done(unit.size, *self.output.write(number, unit, batches))


@lru_cache(maxsize=1)
def _classifier(source: Source) -> Answering:
    """Load the classifier once per process."""
    keep_freed_memory()
    return source.classifier()
