"""What one worker does with one unit, whichever engine has it done."""

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
"""A unit and its number, counted from 0 in the order of the input."""


@dataclass(frozen=True)
class Done:
    """What came of a unit: of so many bytes so many rows, some of which tell of an error."""

    size: int
    rows: int
    errors: int


@dataclass(frozen=True)
class Work:
    """All that a worker must know; it travels to other processes and machines.

    Attributes:
        source: where the classifier lies.
        top: how many classes to name.
        input: what is predicted.
        output: where the rows go.
    """

    source: Source
    top: int
    input: Place
    output: Output

    def do(self, numbered: Numbered) -> Done:
        """Predict a unit and write its rows. Doing it twice leaves the same as doing it once."""
        number, unit = numbered
        torch.set_num_threads(1)  # a worker is a core
        self.output.require_visible()
        classifier = _prepared(self.source)
        found = rows(classifier, self.top, pictures(self.input, unit))
        return Done(unit.size, *self.output.write(number, unit, found))


@lru_cache(maxsize=1)
def _prepared(source: Source) -> Answering:
    """Read the classifier, once a process."""
    keep_freed_memory()
    return source.classifier()
