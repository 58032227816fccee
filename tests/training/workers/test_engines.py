"""When workers are started anew, and what is said when that does not help."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tinysight.errors import DataError, InputError, TrainingError, WorkerLostError
from tinysight.progress import SILENT
from tinysight.recipes import loading
from tinysight.runs.records import Summary
from tinysight.training.order import Order
from tinysight.training.workers import engines
from tinysight.training.workers.work import best_of

DONE = Summary(status="finished", recipe="fast-73", dataset="shapes")


@dataclass
class Engine:
    """Loses its workers at every start but the last, each time after so many checkpoints."""

    checkpoints: list[int]
    starts: int = field(default=0)

    def __call__(self, order, count, progress):
        self.starts += 1
        if self.starts > len(self.checkpoints):
            return DONE
        for number in range(self.checkpoints[self.starts - 1]):
            latest = order.path / "checkpoint" / "latest.safetensors"
            latest.parent.mkdir(parents=True, exist_ok=True)
            latest.write_text(f"{self.starts} {number}")
        raise WorkerLostError("Signal 9")


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Return a function that trains two workers on a made-up engine."""

    def start(engine):
        monkeypatch.setattr(engines, "_runner", lambda name: engine)
        order = Order(loading.load("fast-73"), "shapes", tmp_path / "run")
        return engines.train_on(order, 2, "torchrun", SILENT)

    return start


def test_workers_are_started_again_as_long_as_they_come_to_another_checkpoint(start):
    engine = Engine([1, 2, 1, 1, 3])
    assert start(engine) == DONE
    assert engine.starts == 6


def test_workers_that_are_lost_without_coming_further_are_given_up(start):
    engine = Engine([2, 0, 1])
    with pytest.raises(TrainingError, match=r"lost again and again without coming to another checkpoint \(Signal 9\)"):
        start(engine)
    assert engine.starts == 2


def test_what_can_be_refused_is_refused_before_anything_is_started(start, tmp_path):
    Path(tmp_path / "run").mkdir()
    Path(tmp_path / "run" / "mine.txt").write_text("mine")
    engine = Engine([])
    with pytest.raises(InputError, match="already exists"):
        start(engine)
    assert engine.starts == 0


def test_an_error_of_any_worker_is_told_rather_than_that_the_others_lost_it():
    lost, error = WorkerLostError("gone"), DataError("The images are bad.")
    with pytest.raises(DataError, match="images are bad"):
        best_of([lost, error, lost])
    with pytest.raises(WorkerLostError):
        best_of([lost, lost])
    assert best_of([DONE, DONE]) == DONE
