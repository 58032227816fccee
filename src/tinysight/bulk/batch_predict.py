"""Batch prediction: one row per image, resumable after any interruption."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from tinysight._util.errors import InputError
from tinysight._util.progress import SILENT, Progress
from tinysight.bulk.executors import EXECUTORS, BatchEngine, run_shards
from tinysight.bulk.job import Job, NumberedShard, ShardResult
from tinysight.bulk.output import ParquetOutput, part_name
from tinysight.bulk.shards import iter_shards, total_bytes
from tinysight.bulk.storage import RemotePath, glob_to_regex
from tinysight.models.predictor import ModelSource

_OTHER_FORMATS = (".csv", ".tsv", ".json", ".jsonl", ".xlsx")


@dataclass(frozen=True)
class BatchSummary:
    """Counts of a batch prediction.

    Attributes:
        rows: rows written by this call.
        errors: how many of these hold an error instead of a prediction.
        skipped: shards that an earlier call had finished.
    """

    rows: int
    errors: int
    skipped: int


def batch_predict(
    model: ModelSource,
    source: str,
    output: str,
    engine: BatchEngine = "local",
    workers: int | None = None,
    top: int = 3,
    progress: Progress = SILENT,
) -> BatchSummary:
    """Predict all images of `source` into Parquet files in the directory `output`; finished shards are skipped.

    Args:
        model: where the classifier is stored, as an absolute path that every machine can read.
        source: a directory, a glob such as "images/**/*.jpg", a Parquet or tar file, or a directory of these; a path
            or a URI of any filesystem that pyarrow opens.
        output: a path or a URI.
        engine: "local" uses this machine's cores, "ray" a cluster.
        workers: number of shards in parallel; the number of cores by default.
        top: number of classes per row.
        progress: counts input bytes.

    Raises:
        InputError: there are no images, or `output` holds something else or has the suffix of a different format.
        StorageError: `output` cannot be written.
        TinysightError: a worker failed; the same call resumes.
    """
    images, rows_dir = RemotePath.parse(source), ParquetOutput(RemotePath.parse(output))
    _check_output(rows_dir.path, images)
    total = total_bytes(images)
    facts = {"input": str(images), "classifier": str(model.path), "weights": model.weights_checksum(), "top": top}
    rows_dir.create_or_resume(facts | {"notes": list(model.classifier().notes)})
    remaining = _RemainingShards(images, rows_dir, progress)
    rows = errors = 0
    progress.start("predicting", total, "B")
    try:
        for result in _run(engine, Job(model, top, images, rows_dir), remaining, workers):
            rows, errors = rows + result.rows, errors + result.errors
            progress.advance(result.input_bytes)
    except KeyboardInterrupt:
        progress.note("Rows written so far are kept. Run it again to resume.")
        raise
    finally:
        progress.finish()
    rows_dir.remove_parts(chain.from_iterable(remaining.stale.values()))
    return BatchSummary(rows, errors, remaining.skipped)


def _run(engine: BatchEngine, job: Job, remaining: _RemainingShards, workers: int | None) -> Iterator[ShardResult]:
    """Run the remaining shards; if there are none, no workers are started."""
    shards = iter(remaining)
    if (first := next(shards, None)) is not None:
        with EXECUTORS[engine](job, workers) as executor:
            yield from run_shards(executor, chain([first], shards))


class _RemainingShards:
    """Iterates over unfinished shards; removes the files of shards that have changed.

    Attributes:
        skipped: finished shards so far.
        stale: existing files that no shard has claimed so far, by shard number.
    """

    def __init__(self, images: RemotePath, output: ParquetOutput, progress: Progress) -> None:
        self.images, self.output, self.progress = images, output, progress
        self.skipped, self.stale = 0, output.existing_parts()

    def __iter__(self) -> Iterator[NumberedShard]:
        for number, shard in enumerate(iter_shards(self.images)):
            existing, name = self.stale.pop(number, []), part_name(number, shard)
            self.output.remove_parts(part for part in existing if part != name)
            if name in existing:
                self.skipped += 1
                self.progress.advance(shard.size)
            else:
                yield number, shard


def _check_output(output: RemotePath, images: RemotePath) -> None:
    """Raise InputError for an output with the suffix of a different format, or inside the input.

    A rerun would read an output inside the input.
    """
    stem, _, suffix = str(output).rpartition(".")
    if f".{suffix.lower()}" in _OTHER_FORMATS:
        raise InputError(
            f"{output}: the output is a directory of Parquet files. Name it {stem}.parquet, and convert it "
            f"afterwards, for example with pandas.read_parquet."
        )
    inside = f"{output.path}/".startswith(f"{images.path.rstrip('/')}/")
    matched = glob_to_regex(images.path).fullmatch(output.join("part.parquet").path)
    if images.scheme == output.scheme and (inside or matched):
        raise InputError(f"{output}: is inside the input {images}. Choose an output outside of it.")
