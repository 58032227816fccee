"""What several workers must agree on although each finds something else: the time, and whether to stop."""

import pytest

from tinysight.runs.run import Run
from tinysight.training.clock import Clock
from tinysight.training.interruption import Interruption
from tinysight.training.train import train
from tinysight.training.workers.group import Workers


def test_the_clock_of_the_first_worker_counts(together, trainers, join):
    made = trainers(2, "training.minutes=1", "optimiser.schedule=linear")
    for trainer, seconds in zip(made, (30.0, 0.0), strict=True):
        trainer.clock = Clock(1, limit=60.0, before=seconds)

    first, second = together(2, lambda workers: join(made[workers.rank], workers).progress)

    assert first == second == pytest.approx(0.5, abs=0.1)


class Second(Workers):
    """A group whose second worker, elsewhere, is asked to stop at every look."""

    def any(self, here):
        return True


def test_what_one_worker_is_asked_all_do(plan, tmp_path):
    summary = train(plan(), tmp_path / "run", workers=Second(), interruption=Interruption())

    assert summary.status == "interrupted"
    assert Run(tmp_path / "run").checkpoint().state["position"]["step"] == 1
