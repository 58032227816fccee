"""Trainings that are given a time: on a clock of the test's own, which a step moves on."""

import signal
import time

import pytest

from tinysight.errors import TrainingError
from tinysight.progress import Silent
from tinysight.runs.run import Run
from tinysight.training import train as training
from tinysight.training.train import train
from tinysight.training.trainer import Trainer

HALF_A_MINUTE = ("training.minutes=0.5", "optimiser.schedule=linear")


class Wall(Silent):
    """The time, and what moves it on: `seconds` a step or look, and what `then` does after so many steps."""

    def __init__(self):
        self.now, self.seconds, self.steps, self.then = 1000.0, 1.0, 0, {}

    def read(self):
        self.now += 1e-6  # nothing takes no time at all
        return self.now

    def advance(self, amount, **figures):
        self.now += self.seconds
        self.steps += 1
        self.then.get(self.steps, lambda: None)()


@pytest.fixture
def wall(monkeypatch):
    """Time passes with steps and with looks at validation images alone."""
    wall, look = Wall(), Trainer._look

    def slow_look(self, part, precision):
        wall.now += wall.seconds
        return look(self, part, precision)

    monkeypatch.setattr(time, "perf_counter", wall.read)
    monkeypatch.setattr(Trainer, "_look", slow_look)
    return wall


def test_it_ends_when_the_time_is_over_but_for_what_the_end_takes(plan, wall, tmp_path):
    summary = train(plan(*HALF_A_MINUTE), tmp_path / "run", progress=wall)

    assert summary.status == "finished"
    assert 30 - training.ENDING <= summary.total_seconds < 30 - training.ENDING + wall.seconds
    assert summary.epochs == len(Run(tmp_path / "run").history()) == 3  # of seven steps, the last cut short
    assert Run(tmp_path / "run").history()[-1].lr == 0


def test_a_machine_that_slows_down_half_way_ends_in_time_and_with_its_rates_at_nothing(plan, wall, tmp_path):
    wall.then[5] = lambda: setattr(wall, "seconds", 4.0)
    summary = train(plan(*HALF_A_MINUTE), tmp_path / "run", progress=wall)

    assert summary.total_seconds < 30 - training.ENDING + 4
    assert Run(tmp_path / "run").history()[-1].lr == 0


def test_what_was_spent_before_the_first_step_counts(plan, wall, tmp_path):
    settled = plan(*HALF_A_MINUTE)
    wall.now += 12
    summary = train(settled, tmp_path / "run", progress=wall)

    assert summary.total_seconds == pytest.approx(30 - 12, abs=1)


def test_time_that_is_over_before_the_first_step_is_refused_and_leaves_nothing(plan, wall, tmp_path):
    settled = plan(*HALF_A_MINUTE)
    wall.now += 27
    with pytest.raises(TrainingError, match=r"training.minutes is 0.5, but .* takes 34 s here; give it more"):
        train(settled, tmp_path / "run", progress=wall)
    assert not (tmp_path / "run").exists()


def test_time_that_is_over_with_the_first_files_still_leaves_a_step(plan, wall, tmp_path, monkeypatch):
    say = training._Session._say
    monkeypatch.setattr(
        training._Session, "_say", lambda *arguments: setattr(wall, "now", wall.now + 30) or say(*arguments)
    )
    train(plan(*HALF_A_MINUTE), tmp_path / "run", progress=wall)

    assert len(Run(tmp_path / "run").history()) == 1


def test_an_interrupted_training_gets_the_rest_of_its_time(plan, wall, tmp_path):
    settled = plan(*HALF_A_MINUTE)
    wall.then[10] = lambda: signal.raise_signal(signal.SIGINT)
    assert train(settled, tmp_path / "run", progress=wall).status == "interrupted"
    wall.now += 3600

    summary = train(settled, tmp_path / "run", resume=True, progress=wall)

    assert summary.status == "finished"
    assert 20 <= wall.steps <= 21


def test_a_training_killed_before_its_first_checkpoint_gets_all_of_its_time_again(plan, wall, tmp_path):
    class KilledError(BaseException):
        pass

    def kill():
        raise KilledError

    wall.then[3] = kill
    with pytest.raises(KilledError):
        train(plan(*HALF_A_MINUTE), tmp_path / "run", progress=wall)

    summary = train(plan(*HALF_A_MINUTE), tmp_path / "run", resume=True, progress=wall)

    assert summary.status == "finished"
    assert 20 <= wall.steps - 3 <= 21


def test_a_few_pictures_make_many_epochs_and_one_line_a_second(plan, wall, tmp_path):
    wall.seconds, lines = 0.05, []
    wall.finish = lambda line="": lines.append(line)
    summary = train(plan(*HALF_A_MINUTE, "training.batch_size=160"), tmp_path / "run", progress=wall)

    assert summary.epochs == len(Run(tmp_path / "run").history()) > 250
    assert len([line for line in lines if line]) < 30


def test_without_a_number_of_epochs_none_is_shown(plan, wall, tmp_path):
    tasks = []
    wall.start = lambda task, total, unit="": tasks.append(task)
    train(plan(*HALF_A_MINUTE), tmp_path / "run", progress=wall)

    assert tasks == ["epoch 1", "epoch 2", "epoch 3"]
