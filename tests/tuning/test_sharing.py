"""Several processes work on one study, and one of them is killed without a word."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

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
        [*COMMAND, "--out", str(folder), "--minutes", "0.7", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished_by(folder, worker):
    """Return the numbers of the trials that a process has brought to their end, once there is a study."""
    if not Study.is_at(folder):
        return []
    trials = Study.open(folder).trials()
    return [trial.number for trial in trials if trial.worker == worker and trial.state == "finished"]


def started_by(process):
    """Return the processes that one has started."""
    return [int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def states(folder):
    return Counter(trial.state for trial in Study.open(folder).trials())


def require_sound(folder, before):
    """Assert that nothing which was finished is gone, nothing was done twice, and the work went on."""
    trials = Study.open(folder).trials()
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert sum(trial.values == Study.open(folder).space.start for trial in trials if trial.state == "finished") == 1
    assert not {trial.state for trial in trials} & {"running", "waiting"}
    finished = {trial.number for trial in trials if trial.state == "finished"}
    assert before < finished
    assert loading.load(str(folder / "best.toml")).name == "early-stopping-tuned"


def test_a_further_process_that_is_killed_leaves_the_others_their_work(folder, wait_for):
    with tuning(folder, "--workers", "2") as process:
        before = set(wait_for(lambda: finished_by(folder, 0)) + wait_for(lambda: finished_by(folder, 1)))
        (other,) = started_by(process)
        subprocess.run(["kill", "-9", str(other)], check=True)
        out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert "Of 2 processes 1 died before their time" in err
    assert "came furthest" in out
    require_sound(folder, before)
    assert states(folder)["lost"] <= 1


def test_of_two_commands_on_one_folder_either_may_be_killed(folder, wait_for):
    with tuning(folder) as first, tuning(folder) as second:
        before = set(wait_for(lambda: finished_by(folder, 0)) + wait_for(lambda: finished_by(folder, 1)))
        first.send_signal(signal.SIGKILL)
        _, err = second.communicate(timeout=200)
    assert second.returncode == 0, err
    require_sound(folder, before)
