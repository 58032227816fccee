"""Workers agree on the time and on whether to stop."""

import pytest

from tinysight.runs.run import Run
from tinysight.training.budget import TimeBudget
from tinysight.training.distributed.process_group import ProcessGroup
from tinysight.training.signals import StopRequest


def test_the_time_of_the_main_worker_counts(together, trainers, join):
    pair = trainers(2, "training.minutes=1", "optimizer.lr_schedule=linear")
    for trainer, seconds in zip(pair, (30.0, 0.0), strict=True):
        trainer.budget = TimeBudget(1, limit_seconds=60.0, previous_seconds=seconds)

    first, second = together(2, lambda workers: join(pair[workers.rank], workers).progress)

    assert first == second == pytest.approx(0.5, abs=0.1)


class StopRequested(ProcessGroup):
    """A group in which another worker has received a stop request."""

    def any_rank(self, value):
        return True


def test_a_stop_request_to_one_worker_stops_all(train, plan, tmp_path):
    summary = train(plan(), tmp_path / "run", group=StopRequested(), stop_request=StopRequest())

    assert summary.status == "interrupted"
    assert Run(tmp_path / "run").checkpoint().state["position"]["step"] == 1
