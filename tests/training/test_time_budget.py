"""Training with a time budget, on a fake clock that steps and validations advance."""

import signal
import time

import pytest

from tinysight._util.errors import TrainingError
from tinysight._util.progress import SilentProgress
from tinysight.runs.run import Run
from tinysight.training import session as training
from tinysight.training.trainer import Trainer

HALF_A_MINUTE = ("training.minutes=0.5", "optimizer.lr_schedule=linear")


class FakeTime(SilentProgress):
    """A fake `time.perf_counter`: each step or validation takes `seconds`; `then[n]` is called after step n.

    The OOD detector stores all 160 training images, which takes as long as four validations of 40 images.
    """

    def __init__(self):
        self.now, self.seconds, self.steps, self.then = 1000.0, 1.0, 0, {}

    def read(self):
        self.now += 1e-6  # time always advances
        return self.now

    def advance(self, amount, **metrics):
        self.now += self.seconds
        self.steps += 1
        self.then.get(self.steps, lambda: None)()


@pytest.fixture
def fake_time(monkeypatch):
    """Time advances with steps, validations and the OOD detector only."""
    fake_time, predict, fit_detector = FakeTime(), Trainer._predict, Trainer._fit_detector

    def slow_predict(self, split, precision, detector):
        fake_time.now += fake_time.seconds
        return predict(self, split, precision, detector)

    def slow_fit_detector(self):
        fake_time.now += 4 * fake_time.seconds
        return fit_detector(self)

    monkeypatch.setattr(time, "perf_counter", fake_time.read)
    monkeypatch.setattr(Trainer, "_predict", slow_predict)
    monkeypatch.setattr(Trainer, "_fit_detector", slow_fit_detector)
    return fake_time


def test_training_ends_on_time(train, plan, fake_time, tmp_path):
    summary = train(plan(*HALF_A_MINUTE), tmp_path / "run", progress=fake_time)

    assert summary.status == "finished"
    assert 30 - training.EXIT_SECONDS <= summary.total_seconds < 30 - training.EXIT_SECONDS + fake_time.seconds
    assert summary.epochs == len(Run(tmp_path / "run").history()) == 3  # of seven steps, the last one shorter
    assert Run(tmp_path / "run").history()[-1].lr == 0


def test_a_slowdown_ends_on_time_with_a_learning_rate_of_zero(train, plan, fake_time, tmp_path):
    fake_time.then[5] = lambda: setattr(fake_time, "seconds", 2.0)
    summary = train(plan(*HALF_A_MINUTE), tmp_path / "run", progress=fake_time)

    assert summary.total_seconds < 30 - training.EXIT_SECONDS + 2
    assert Run(tmp_path / "run").history()[-1].lr == 0


def test_time_before_the_first_step_counts(train, plan, fake_time, tmp_path):
    settled = plan(*HALF_A_MINUTE)
    fake_time.now += 12
    summary = train(settled, tmp_path / "run", progress=fake_time)

    assert summary.total_seconds == pytest.approx(30 - 12, abs=1)


def test_a_budget_too_short_for_a_step_is_rejected_before_writing(train, plan, fake_time, tmp_path):
    settled = plan(*HALF_A_MINUTE)
    fake_time.now += 27
    with pytest.raises(TrainingError, match=r"training.minutes: 0.5 is too short, .* take 38 s here\. Increase it"):
        train(settled, tmp_path / "run", progress=fake_time)
    assert not (tmp_path / "run").exists()


def test_a_budget_used_up_by_the_first_files_still_allows_a_step(train, plan, fake_time, tmp_path, monkeypatch):
    write = Run.write_progress

    def slow_write(*arguments):
        fake_time.now += 30
        return write(*arguments)

    monkeypatch.setattr(Run, "write_progress", slow_write)
    train(plan(*HALF_A_MINUTE), tmp_path / "run", progress=fake_time)

    assert len(Run(tmp_path / "run").history()) == 1


def test_a_resumed_run_gets_the_rest_of_its_time(train, plan, fake_time, tmp_path):
    settled = plan(*HALF_A_MINUTE)
    fake_time.then[10] = lambda: signal.raise_signal(signal.SIGINT)
    assert train(settled, tmp_path / "run", progress=fake_time).status == "interrupted"
    fake_time.now += 3600

    summary = train(settled, tmp_path / "run", resume=True, progress=fake_time)

    assert summary.status == "finished"
    assert 16 <= fake_time.steps <= 17


def test_a_run_killed_before_its_first_checkpoint_gets_all_of_its_time(train, plan, fake_time, tmp_path):
    class KilledError(BaseException):
        pass

    def kill():
        raise KilledError

    fake_time.then[3] = kill
    with pytest.raises(KilledError):
        train(plan(*HALF_A_MINUTE), tmp_path / "run", progress=fake_time)

    summary = train(plan(*HALF_A_MINUTE), tmp_path / "run", resume=True, progress=fake_time)

    assert summary.status == "finished"
    assert 16 <= fake_time.steps - 3 <= 17


def test_short_epochs_log_at_most_one_line_per_second(train, plan, fake_time, tmp_path):
    fake_time.seconds, lines = 0.05, []
    fake_time.finish = lambda line="": lines.append(line)
    summary = train(plan(*HALF_A_MINUTE, "training.batch_size=160"), tmp_path / "run", progress=fake_time)

    assert summary.epochs == len(Run(tmp_path / "run").history()) > 250
    assert len([line for line in lines if line]) < 30


def test_with_a_time_budget_no_number_of_epochs_is_shown(train, plan, fake_time, tmp_path):
    tasks = []
    fake_time.start = lambda task, total, unit="": tasks.append(task)
    train(plan(*HALF_A_MINUTE), tmp_path / "run", progress=fake_time)

    assert tasks == ["epoch 1", "epoch 2", "epoch 3"]
