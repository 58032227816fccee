"""Several processes share one study, and one of them is killed."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tinysight._util.locks import is_locked
from tinysight.recipes import loading
from tinysight.tuning.study import Study

ARGUMENT = "shapes:train=200,test=30"
COMMAND = [sys.executable, "-m", "tinysight", "tune", "early-stopping", "--data", ARGUMENT, "--epochs", "2"]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds processes in /proc")]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "study"


def tuning(folder, *options):
    return subprocess.Popen(
        [*COMMAND, "--out", str(folder), "--minutes", "60", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def trials_of(folder, worker, *states):
    """Return the numbers of a worker's trials in the given states; empty before the study exists."""
    trials = Study.open(folder).trials() if Study.exists_at(folder) else []
    return {trial.number for trial in trials if trial.worker == worker and trial.state in states}


def children_of(process):
    """Return the ids of the child processes."""
    return [int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def interrupt(process, folder, worker, wait_for):
    """Wait for three more trials, send Ctrl-C, and return stdout and stderr."""
    before = len(trials_of(folder, worker, "finished", "pruned"))
    wait_for(lambda: len(trials_of(folder, worker, "finished", "pruned")) >= before + 3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 1, err
    return out, err


def assert_consistent(folder, before):
    """Assert that no finished trial is gone or repeated, and that at most one trial was lost."""
    study = Study.open(folder)
    trials = study.trials()
    states = Counter(trial.state for trial in trials)
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert len({str(trial.values) for trial in trials if trial.state == "finished"}) == states["finished"]
    assert before < {trial.number for trial in trials if trial.state in ("finished", "pruned")}
    assert not states["running"]
    assert states["lost"] <= 1
    assert loading.load_recipe(str(folder / "best.toml")).name == "early-stopping-tuned"


def test_killed_worker_does_not_stop_the_others(folder, wait_for):
    with tuning(folder, "--workers", "2") as process:
        wait_for(lambda: trials_of(folder, 0, "finished"))
        wait_for(lambda: trials_of(folder, 1, "running"))
        before = trials_of(folder, 0, "finished", "pruned")
        (child,) = children_of(process)
        os.kill(child, signal.SIGKILL)
        out, err = interrupt(process, folder, 0, wait_for)
    assert "1 of 2 processes died early. The others completed the search." in err
    assert "Best trial: " in out
    assert_consistent(folder, before)


def test_of_two_commands_on_one_directory_either_may_be_killed(folder, wait_for):
    with tuning(folder) as first, tuning(folder) as second:
        wait_for(lambda: trials_of(folder, 0, "finished") and trials_of(folder, 1, "finished"))
        before = trials_of(folder, 0, "finished", "pruned") | trials_of(folder, 1, "finished", "pruned")
        first.send_signal(signal.SIGKILL)
        first.communicate()
        (survivor,) = (worker for worker in (0, 1) if is_locked(folder / "workers" / str(worker)))
        interrupt(second, folder, survivor, wait_for)
    assert_consistent(folder, before)
