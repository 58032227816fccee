"""Restarts of failed workers, and the error when restarting does not help."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tinysight._util.errors import DataError, InputError, TrainingError, WorkerLostError
from tinysight._util.progress import SILENT
from tinysight.recipes import loading
from tinysight.runs.records import Summary
from tinysight.training.distributed import launch
from tinysight.training.distributed.worker import first_success
from tinysight.training.request import TrainRequest

DONE = Summary(status="finished", recipe="fast-73", dataset="shapes")


@dataclass
class FakeLauncher:
    """Fails at every start but the last, each time after writing so many checkpoints."""

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
    """Return a function that trains two workers with a fake launcher."""

    def start(launcher):
        monkeypatch.setattr(launch, "_runner", lambda name: launcher)
        order = TrainRequest(loading.load_recipe("fast-73"), "shapes", tmp_path / "run")
        return launch.launch_training(order, 2, "torchrun", SILENT)

    return start


def test_workers_are_restarted_while_they_write_checkpoints(start):
    launcher = FakeLauncher([1, 2, 1, 1, 3])
    assert start(launcher) == DONE
    assert launcher.starts == 6


def test_workers_that_fail_without_a_new_checkpoint_are_not_restarted(start):
    launcher = FakeLauncher([2, 0, 1])
    with pytest.raises(TrainingError, match=r"workers kept failing before the next checkpoint \(Signal 9\)"):
        start(launcher)
    assert launcher.starts == 2


def test_invalid_arguments_are_rejected_before_starting_workers(start, tmp_path):
    Path(tmp_path / "run").mkdir()
    Path(tmp_path / "run" / "mine.txt").write_text("mine")
    launcher = FakeLauncher([])
    with pytest.raises(InputError, match="already exists"):
        start(launcher)
    assert launcher.starts == 0


def test_an_error_of_a_worker_takes_precedence_over_lost_workers():
    lost, error = WorkerLostError("gone"), DataError("The images are bad.")
    with pytest.raises(DataError, match="images are bad"):
        first_success([lost, error, lost])
    with pytest.raises(WorkerLostError):
        first_success([lost, lost])
    assert first_success([DONE, DONE]) == DONE
