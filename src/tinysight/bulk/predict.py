"""Bulk prediction: every picture of an input becomes one row, however often the work is stopped and begun anew."""

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
    """What came of a bulk prediction.

    Attributes:
        rows: written now.
        errors: how many of these tell why there is no prediction.
        before: units that had been done already.
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
    """Predict all pictures of `input` into Parquet files in the folder `output`; what is there already is kept.

    Args:
        source: where the classifier lies, by an absolute path; every machine must see it.
        input: a folder, a pattern such as "photos/**/*.jpg", a Parquet file or a tar file, or a folder of these; a path
            or a URI of any filesystem that pyarrow opens.
        output: a path or a URI.
        engine: "local" has this machine's cores do it, "ray" a cluster.
        workers: how many at a time; as many as there are cores unless given.
        top: how many classes to name.
        progress: told how many bytes of the input are done.

    Raises:
        InputError: there is nothing to predict, or `output` holds something else.
        StorageError: `output` cannot be written.
        TinysightError: the work failed; begun anew, it goes on from there.
    """
    asked, into = Place.of(input), Output(Place.of(output))
    _require_apart(asked, into.place)
    total = size(asked)
    facts = {"input": str(asked), "classifier": str(source.path), "weights": source.weights_seal(), "top": top}
    into.begin(facts | {"remarks": list(source.classifier().remarks)})
    remaining = _Remaining(asked, into, progress)
    rows = errors = 0
    progress.start("predicting", total, "B")
    try:
        for done in _done(engine, Work(source, top, asked, into), remaining, workers):
            rows, errors = rows + done.rows, errors + done.errors
            progress.advance(done.size)
    except KeyboardInterrupt:
        progress.note("What is written stays; the same command goes on from there.")
        raise
    finally:
        progress.finish()
    into.remove(remaining.stale.values())
    return Total(rows, errors, remaining.before)


def _done(engine: Engine, work: Work, remaining: _Remaining, workers: int | None) -> Iterator[Done]:
    """Have the engine do what remains; where nothing does, no engine is started."""
    units = iter(remaining)
    if (first := next(units, None)) is not None:
        yield from _ENGINES[engine](work, chain([first], units), workers)


class _Remaining:
    """The units that are still to be done; files of units that have changed are removed on the way.

    Attributes:
        before: units that were done already.
        stale: files that no unit has claimed so far.
    """

    def __init__(self, asked: Place, into: Output, progress: Progress) -> None:
        self.asked, self.into, self.progress = asked, into, progress
        self.before, self.stale = 0, into.parts()

    def __iter__(self) -> Iterator[Numbered]:
        for number, unit in enumerate(units(self.asked)):
            there = self.stale.pop(number, None)
            if there == part_name(number, unit):
                self.before += 1
                self.progress.advance(unit.size)
                continue
            if there is not None:
                self.into.remove([there])
            yield number, unit


def _require_apart(asked: Place, into: Place) -> None:
    """Refuse an output within the input, where the next look would find it."""
    inside = f"{into.path}/".startswith(f"{asked.path.rstrip('/')}/")
    if asked.scheme == into.scheme and inside:
        raise InputError(f"{into} lies in {asked}, whose pictures are predicted; name an --output outside of it.")
