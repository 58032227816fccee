"""`tinysight train --workers N`: the run of one worker, whatever happens to one of them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest
import torch

from tinysight import packages
from tinysight.runs.run import Run

DATA = ("--data", "shapes:train=200,test=40", "--precision", "fp32")
COMMAND = ("train", "fast-73", *DATA)
DIVERGING = [
    *("optimiser.name=adam", "optimiser.learning_rate=100", "optimiser.beta_2=0", "optimiser.epsilon=1e-30"),
    *("training.batch_size=40", "training.epochs=40"),
]
BATCHES = ("--set", "training.batch_size=40", "--set", "training.ghost_batch_size=20")
DEADLINE = 120  # seconds; a machine that does much else needs some of them to start an engine
NEEDS_RAY = pytest.mark.skipif(packages.version("ray") is None, reason="needs the extra scale")


@pytest.fixture(params=["torchrun", pytest.param("ray", marks=[NEEDS_RAY, pytest.mark.slow])])
def engine(request):
    return request.param


def launch(*command):
    """Run Python in a process of its own, and return that process."""
    # One thread in every process, or rounding would lead their trainings apart (docs/experiments.md).
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"} | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def training(path, epochs):
    """Return the command line of a training that ends at `path`."""
    return ("tinysight", *COMMAND, *BATCHES, "--epochs", str(epochs), "--out", str(path))


def require_success(process):
    """Wait until a process has come to a good end."""
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, out + err
    assert "Traceback" not in err


@pytest.fixture
def start():
    """Return a function that does what `launch` does; what still runs when the test is over is ended."""
    started = []

    def start(*command):
        started.append(launch(*command))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def train(start, tmp_path):
    """Return a function that trains in a process of its own, and returns that process."""

    def train(name, *arguments, epochs=4):
        return start(*training(tmp_path / name, epochs), *arguments)

    return train


@pytest.fixture
def finished(train, tmp_path):
    """Return a function that trains, and returns the run."""

    def finished(name, *arguments, epochs=4):
        require_success(train(name, *arguments, epochs=epochs))
        return Run(tmp_path / name)

    return finished


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Return a function from a number of epochs to the run that one worker leaves whom nothing happens to."""

    @cache
    def alone(epochs):
        path = tmp_path_factory.mktemp("alone") / "run"
        require_success(launch(*training(path, epochs)))
        return Run(path)

    return alone


def wait_until(condition):
    """Return what `condition` returns as soon as that is something."""
    end = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
    return found


def descendants(process):
    """Return the numbers of all processes that a process has started, and that these have started."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # gone meanwhile
            continue
    found = {process.pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process.pid}


def workers_of(process):
    """Return the numbers of the workers among them."""
    names = {}
    for number in descendants(process):
        try:
            names[number] = Path(f"/proc/{number}/cmdline").read_text()
        except OSError:
            continue
    return sorted(number for number, name in names.items() if re.search("spawn_main|RayTrainWorker", name))


def assert_alike(run, other):
    """The same but for rounding."""
    for epoch, same in zip(run.history(), other.history(), strict=True):
        assert epoch.loss == pytest.approx(same.loss, abs=1e-5)
        assert epoch.val_loss == pytest.approx(same.val_loss, abs=1e-5)
    assert run.checkpoint().tensors.keys() == other.checkpoint().tensors.keys()
    ours, theirs = run.classifier().network.state_dict(), other.classifier().network.state_dict()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-4, atol=1e-5)
    assert {path.name for path in run.path.iterdir()} == {path.name for path in other.path.iterdir()}


def test_two_workers_leave_the_run_that_one_leaves(finished, alone, engine):
    together = finished("together", "--workers", "2", "--engine", engine)

    assert_alike(together, alone(4))
    assert (alone(4).environment().workers, together.environment().workers) == (1, 2)
    assert [path.name for path in together.path.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    "victim", [pytest.param(0, id="the first"), pytest.param(-1, id="the last", marks=pytest.mark.slow)]
)
def test_a_killed_worker_is_replaced_and_the_run_ends_as_if_nothing_had_been(train, alone, engine, victim, tmp_path):
    process = train("killed", "--workers", "2", "--engine", engine, epochs=40)
    wait_until((tmp_path / "killed" / "checkpoint" / "latest.safetensors").exists)
    os.kill(workers_of(process)[victim], signal.SIGKILL)
    out, err = process.communicate(timeout=DEADLINE)

    assert process.returncode == 0, out + err
    assert "A worker was lost: all of them start again, from the last checkpoint." in err
    assert "Traceback" not in err
    assert_alike(Run(tmp_path / "killed"), alone(40))


@pytest.mark.slow
def test_ctrl_c_leaves_no_process_and_a_run_that_one_worker_can_go_on_with(train, finished, alone, engine, tmp_path):
    process = train("run", "--workers", "2", "--engine", engine, epochs=40)
    wait_until((tmp_path / "run" / "checkpoint" / "latest.safetensors").exists)
    workers = descendants(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)

    assert process.returncode == 1, out + err
    assert out.startswith("interrupted: fast-73 on shapes, ")
    assert "Traceback" not in err
    wait_until(lambda: not [number for number in workers if Path(f"/proc/{number}").exists()])
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["status"] == "interrupted"

    run = finished("run", "--resume", epochs=40)
    assert "workers: 2, now 1" in run.environment().changes
    assert_alike(run, alone(40))


@pytest.mark.slow
def test_a_run_of_one_worker_goes_on_with_two(train, finished, alone, tmp_path):
    process = train("run", epochs=40)
    wait_until((tmp_path / "run" / "checkpoint" / "latest.safetensors").exists)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=DEADLINE)

    run = finished("run", "--resume", "--workers", "2", epochs=40)
    assert "workers: 1, now 2" in run.environment().changes
    assert_alike(run, alone(40))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "changes", "code", "sentence"),
    [
        ("fast-73", ["training.ghost_batch_size=400"], 2, "2 workers are too many for batches of 500 images"),
        ("early-stopping", DIVERGING, 1, "training diverged"),
    ],
    ids=["refused", "failed"],
)
def test_what_goes_wrong_is_one_sentence_and_is_not_tried_again(
    start, engine, recipe, changes, code, sentence, tmp_path
):
    settings = [word for change in changes for word in ("--set", change)]
    workers = ("--workers", "2", "--engine", engine, "--out", str(tmp_path / "run"))
    process = start("tinysight", "train", recipe, *DATA, *settings, *workers)
    out, err = process.communicate(timeout=DEADLINE)

    assert (process.returncode, out) == (code, ""), err
    assert [line for line in err.splitlines() if sentence in line] == [err.splitlines()[-1]]
    assert "Traceback" not in err
    assert "A worker was lost" not in err
    assert (tmp_path / "run").exists() == (code == 1)
    assert code == 2 or Run(tmp_path / "run").summary().status == "failed"


@pytest.mark.slow
def test_somebody_elses_torchrun_makes_workers_of_the_command(start, alone, tmp_path):
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    process = start(*torchrun, *training(tmp_path / "joined", 4))
    out, err = process.communicate(timeout=DEADLINE)

    assert process.returncode == 0, err
    assert out.count("finished: ") == 1
    assert_alike(Run(tmp_path / "joined"), alone(4))


def test_without_ray_its_engine_says_what_to_install(tinysight, monkeypatch):
    monkeypatch.setattr("tinysight.packages.version", lambda name: None)
    outcome = tinysight(*COMMAND, "--workers", 2, "--engine", "ray", "--out", "run")
    assert outcome.refusal() == "ray: not installed. Run pip install 'tinysight[scale]'."
    assert list(Path().iterdir()) == []


def test_an_engine_that_is_unknown_and_no_workers_at_all_are_refused(tinysight):
    for arguments in (["--engine", "slurm"], ["--workers", "0"]):
        outcome = tinysight(*COMMAND, *arguments)
        assert outcome.code == 2
        assert arguments[0] in outcome.err


def test_workers_of_somebody_elses_torchrun_must_know_where_the_run_is(tinysight, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    assert "say where the run is to be by --out RUN" in tinysight(*COMMAND).refusal()
    assert list(Path().iterdir()) == []
