"""Several processes work on one study, and one of them is killed without a word."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tinysight.recipes import loading
from tinysight.tuning.locks import is_held
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
    """Return the numbers of the trials that a process has in one of some states, once there is a study."""
    trials = Study.open(folder).trials() if Study.is_at(folder) else []
    return {trial.number for trial in trials if trial.worker == worker and trial.state in states}


def started_by(process):
    """Return the processes that one has started."""
    return [int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def end_soon(process, folder, worker, wait_for):
    """Have a process finish three trials more, then press Ctrl-C; return what it said."""
    before = len(trials_of(folder, worker, "finished", "pruned"))
    wait_for(lambda: len(trials_of(folder, worker, "finished", "pruned")) >= before + 3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 1, err
    return out, err


def require_sound(folder, before):
    """Assert that nothing which was finished is gone, nothing was done twice, and one trial at most was lost."""
    study = Study.open(folder)
    trials = study.trials()
    states = Counter(trial.state for trial in trials)
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert len({str(trial.values) for trial in trials if trial.state == "finished"}) == states["finished"]
    assert before < {trial.number for trial in trials if trial.state in ("finished", "pruned")}
    assert not states["running"]
    assert states["lost"] <= 1
    assert loading.load(str(folder / "best.toml")).name == "early-stopping-tuned"


def test_a_further_process_that_is_killed_leaves_the_others_their_work(folder, wait_for):
    with tuning(folder, "--workers", "2") as process:
        wait_for(lambda: trials_of(folder, 0, "finished"))
        wait_for(lambda: trials_of(folder, 1, "running"))
        before = trials_of(folder, 0, "finished", "pruned")
        (other,) = started_by(process)
        os.kill(other, signal.SIGKILL)
        out, err = end_soon(process, folder, 0, wait_for)
    assert "Of 2 processes 1 died before their time" in err
    assert "came furthest" in out
    require_sound(folder, before)


def test_of_two_commands_on_one_folder_either_may_be_killed(folder, wait_for):
    with tuning(folder) as first, tuning(folder) as second:
        wait_for(lambda: trials_of(folder, 0, "finished") and trials_of(folder, 1, "finished"))
        before = trials_of(folder, 0, "finished", "pruned") | trials_of(folder, 1, "finished", "pruned")
        first.send_signal(signal.SIGKILL)
        first.communicate()
        (survivor,) = (worker for worker in (0, 1) if is_held(folder / "workers" / str(worker)))
        end_soon(second, folder, survivor, wait_for)
    require_sound(folder, before)
