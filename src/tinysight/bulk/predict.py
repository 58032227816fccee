"""Batch prediction: one row per image, resumable after any interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from tinysight.bulk import local, on_ray
from tinysight.bulk.output import Output, part_name
from tinysight.bulk.places import Place
from tinysight.bulk.units import size, units
from tinysight.bulk.work import Done, Numbered, Work
from tinysight.errors import InputError
from tinysight.evaluation.answering import Source
from tinysight.progress import SILENT, Progress

Engine = Literal["local", "ray"]

_ENGINES: dict[Engine, Callable[[Work, Iterator[Numbered], int | None], Iterator[Done]]] = {
    "local": local.run,
    "ray": on_ray.run,
}


@dataclass(frozen=True)
class Total:
    """Counts of a batch prediction.

    Attributes:
        rows: rows written by this call.
        errors: how many of these hold an error instead of a prediction.
        before: shards that an earlier call had finished.
    """

    rows: int
    errors: int
    before: int


def predict(
    source: Source,
    input: str,
    output: str,
    engine: Engine = "local",
    workers: int | None = None,
    top: int = 3,
    progress: Progress = SILENT,
) -> Total:
    """Predict all images of `input` into Parquet files in the directory `output`; finished shards are skipped.

    Args:
        source: where the classifier is stored, as an absolute path that every machine can read.
        input: a directory, a glob such as "images/**/*.jpg", a Parquet or tar file, or a directory of these; a path
            or a URI of any filesystem that pyarrow opens.
        output: a path or a URI.
        engine: "local" uses this machine's cores, "ray" a cluster.
        workers: number of shards in parallel; the number of cores by default.
        top: number of classes per row.
        progress: counts input bytes.

    Raises:
        InputError: there are no images, or `output` holds something else.
        StorageError: `output` cannot be written.
        TinysightError: a worker failed; the same call resumes.
    """
    images, rows_dir = Place.of(input), Output(Place.of(output))
    _check_output_outside_input(images, rows_dir.place)
    total = size(images)
    facts = {"input": str(images), "classifier": str(source.path), "weights": source.weights_seal(), "top": top}
    rows_dir.begin(facts | {"remarks": list(source.classifier().remarks)})
    remaining = _RemainingShards(images, rows_dir, progress)
    rows = errors = 0
    progress.start("predicting", total, "B")
    try:
        for done in _run(engine, Work(source, top, images, rows_dir), remaining, workers):
            rows, errors = rows + done.rows, errors + done.errors
            progress.advance(done.size)
    except KeyboardInterrupt:
        progress.note("Rows written so far are kept. Rerun the same command to resume.")
        raise
    finally:
        progress.finish()
    rows_dir.remove(remaining.stale.values())
    return Total(rows, errors, remaining.skipped)


def _run(engine: Engine, work: Work, remaining: _RemainingShards, workers: int | None) -> Iterator[Done]:
    """Process the remaining shards; if there are none, no workers are started."""
    shards = iter(remaining)
    if (first := next(shards, None)) is not None:
        yield from _ENGINES[engine](work, chain([first], shards), workers)


class _RemainingShards:
    """Iterates over unfinished shards; removes the files of shards that have changed.

    Attributes:
        skipped: finished shards so far.
        stale: existing files that no shard has claimed so far, by shard number.
    """

    def __init__(self, images: Place, output: Output, progress: Progress) -> None:
        self.images, self.output, self.progress = images, output, progress
        self.skipped, self.stale = 0, output.parts()

    def __iter__(self) -> Iterator[Numbered]:
        for number, unit in enumerate(units(self.images)):
            existing = self.stale.pop(number, None)
            if existing == part_name(number, unit):
                self.skipped += 1
                self.progress.advance(unit.size)
                continue
            if existing is not None:
                self.output.remove([existing])
            yield number, unit


def _check_output_outside_input(images: Place, output: Place) -> None:
    """Raise InputError for an output inside the input, where a rerun would take it for input."""
    inside = f"{output.path}/".startswith(f"{images.path.rstrip('/')}/")
    if images.scheme == output.scheme and inside:
        raise InputError(f"{output}: is inside the input {images}. Choose an output outside of it.")
