"""The job of a batch-prediction worker: classify one shard and write its rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from tinysight._util.allocator import tune_malloc
from tinysight.bulk.output import ParquetOutput
from tinysight.bulk.readers import read_images
from tinysight.bulk.rows import predict_rows
from tinysight.bulk.shards import Shard
from tinysight.bulk.storage import RemotePath
from tinysight.evaluation.protocols import ModelSource, Predictor

NumberedShard = tuple[int, Shard]
"""A shard and its number, counted from 0 in input order."""


@dataclass(frozen=True)
class ShardResult:
    """Counts of a finished shard.

    Attributes:
        input_bytes: input bytes.
        rows: rows written.
        errors: how many of the rows hold an error instead of a prediction.
    """

    input_bytes: int
    rows: int
    errors: int


@dataclass(frozen=True)
class Job:
    """The settings of a job, sent to every worker.

    Attributes:
        model: where the classifier is stored.
        top: number of classes per row.
        source: the images.
        output: the directory of the rows.
    """

    model: ModelSource
    top: int
    source: RemotePath
    output: ParquetOutput

    def run_shard(self, numbered: NumberedShard) -> ShardResult:
        """Predict a shard and write its rows. Idempotent."""
        number, shard = numbered
        torch.set_num_threads(1)  # one worker per core
        self.output.check_visible()
        batches = predict_rows(_classifier(self.model), self.top, read_images(self.source, shard))
        return ShardResult(shard.size, *self.output.write_shard(number, shard, batches))


@lru_cache(maxsize=1)
def _classifier(source: ModelSource) -> Predictor:
    """Load the classifier once per process."""
    tune_malloc()
    return source.classifier()
