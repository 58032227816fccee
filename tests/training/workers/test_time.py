"""Workers agree on the time and on whether to stop."""

import pytest

from tinysight.runs.run import Run
from tinysight.training.clock import Clock
from tinysight.training.interruption import Interruption
from tinysight.training.train import train
from tinysight.training.workers.group import Workers


def test_the_time_of_the_main_worker_counts(together, trainers, join):
    pair = trainers(2, "training.minutes=1", "optimiser.schedule=linear")
    for trainer, seconds in zip(pair, (30.0, 0.0), strict=True):
        trainer.clock = Clock(1, limit=60.0, before=seconds)

    first, second = together(2, lambda workers: join(pair[workers.rank], workers).progress)

    assert first == second == pytest.approx(0.5, abs=0.1)


class StopRequested(Workers):
    """A group in which another worker has received a stop request."""

    def any(self, here):
        return True


def test_a_stop_request_to_one_worker_stops_all(plan, tmp_path):
    summary = train(plan(), tmp_path / "run", workers=StopRequested(), interruption=Interruption())

    assert summary.status == "interrupted"
    assert Run(tmp_path / "run").checkpoint().state["position"]["step"] == 1
