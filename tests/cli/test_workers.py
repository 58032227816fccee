"""`tinysight train --workers N` gives the run of one worker, even if a worker fails."""

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

from tinysight._util import optional_deps
from tinysight.runs.run import Run

DATA = ("--data", "shapes:train=200,test=40", "--precision", "fp32")
COMMAND = ("train", "fast-73", *DATA)
DIVERGING = [
    *("optimizer.name=adam", "optimizer.learning_rate=100", "optimizer.beta_2=0", "optimizer.epsilon=1e-30"),
    *("training.batch_size=40", "training.epochs=40"),
]
GHOST_BATCH_OF_400 = ["training.ghost_batch_size=400"]
BATCHES = ("--set", "training.batch_size=40", "--set", "training.ghost_batch_size=20")
DEADLINE = 120  # seconds; a busy machine starts a launcher slowly
NEEDS_RAY = pytest.mark.skipif(optional_deps.version("ray") is None, reason="needs the extra scale")


def launch(*command):
    """Start Python in a subprocess and return the process."""
    # One thread per process: rounding depends on their number (docs/experiments/distributed-equivalence.md).
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"} | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def training(path, epochs):
    """Return the command line of a training that writes `path`."""
    return ("tinysight", *COMMAND, *BATCHES, "--epochs", str(epochs), "--out", str(path))


def require_success(process):
    """Wait for a process and check that it succeeded."""
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, out + err
    assert "Traceback" not in err


@pytest.fixture
def start():
    """Return `launch`; processes still running after the test are killed."""
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
    """Return a function that trains in a subprocess and returns the process."""

    def train(name, *arguments, epochs=4):
        return start(*training(tmp_path / name, epochs), *arguments)

    return train


@pytest.fixture
def finished(train, tmp_path):
    """Return a function that trains and returns the run."""

    def finished(name, *arguments, epochs=4):
        require_success(train(name, *arguments, epochs=epochs))
        return Run(tmp_path / name)

    return finished


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Return a function from a number of epochs to an uninterrupted run of one worker."""

    @cache
    def alone(epochs):
        path = tmp_path_factory.mktemp("alone") / "run"
        require_success(launch(*training(path, epochs)))
        return Run(path)

    return alone


def wait_until(condition):
    """Wait until `condition()` is true and return its value."""
    end = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)
    return value


def descendants(process):
    """Return the process ids of all descendants of a process."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # the process has ended
            continue
    pids = {process.pid}
    while children := {child for child, parent in parents.items() if parent in pids} - pids:
        pids |= children
    return pids - {process.pid}


def workers_of(process):
    """Return the process ids of the workers among the descendants."""
    commands = {}
    for pid in descendants(process):
        try:
            commands[pid] = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            continue
    return sorted(pid for pid, command in commands.items() if re.search("spawn_main|RayTrainWorker", command))


def assert_close(run, expected):
    """Check that two runs are equal up to rounding."""
    for epoch, expected_epoch in zip(run.history(), expected.history(), strict=True):
        assert epoch.loss == pytest.approx(expected_epoch.loss, abs=1e-5)
        assert epoch.val_loss == pytest.approx(expected_epoch.val_loss, abs=1e-5)
    assert run.checkpoint().tensors.keys() == expected.checkpoint().tensors.keys()
    expected_weights = expected.classifier().network.state_dict()
    for name, tensor in run.classifier().network.state_dict().items():
        torch.testing.assert_close(tensor, expected_weights[name], rtol=1e-4, atol=1e-5)
    assert {path.name for path in run.path.iterdir()} == {path.name for path in expected.path.iterdir()}


@pytest.mark.parametrize(
    ("launcher", "victim"),
    [
        pytest.param("torchrun", 0, id="torchrun, the first"),
        pytest.param("ray", -1, id="ray, the last", marks=[NEEDS_RAY, pytest.mark.slow]),
    ],
)
def test_a_killed_worker_is_restarted_without_changing_the_result(train, alone, launcher, victim, tmp_path):
    process = train("killed", "--workers", "2", "--launcher", launcher, epochs=40)
    wait_until((tmp_path / "killed" / "checkpoint" / "latest.safetensors").exists)
    os.kill(workers_of(process)[victim], signal.SIGKILL)
    out, err = process.communicate(timeout=DEADLINE)

    assert process.returncode == 0, out + err
    assert "A worker failed: restarting all workers from the last checkpoint." in err
    assert "Traceback" not in err
    run = Run(tmp_path / "killed")
    assert_close(run, alone(40))
    assert (alone(40).environment().workers, run.environment().workers) == (1, 2)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", pytest.param("ray", marks=NEEDS_RAY)])
def test_ctrl_c_leaves_no_process_and_a_run_that_one_worker_can_resume(train, finished, alone, launcher, tmp_path):
    process = train("run", "--workers", "2", "--launcher", launcher, epochs=40)
    wait_until((tmp_path / "run" / "checkpoint" / "latest.safetensors").exists)
    workers = descendants(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)

    assert process.returncode == 1, out + err
    assert out.startswith("interrupted: fast-73 on shapes, ")
    assert "Traceback" not in err
    wait_until(lambda: not [pid for pid in workers if Path(f"/proc/{pid}").exists()])
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["status"] == "interrupted"

    run = finished("run", "--resume", epochs=40)
    assert "workers: 2, now 1" in run.environment().changes
    assert_close(run, alone(40))


@pytest.mark.slow
def test_a_run_of_one_worker_resumes_with_two(train, finished, alone, tmp_path):
    process = train("run", epochs=40)
    wait_until((tmp_path / "run" / "checkpoint" / "latest.safetensors").exists)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=DEADLINE)

    run = finished("run", "--resume", "--workers", "2", epochs=40)
    assert "workers: 1, now 2" in run.environment().changes
    assert_close(run, alone(40))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "recipe", "changes", "code", "sentence"),
    [
        ("torchrun", "fast-73", GHOST_BATCH_OF_400, 2, "2 workers: a batch of 500 has only 1 ghost batches"),
        ("torchrun", "early-stopping", DIVERGING, 1, "training diverged"),
        pytest.param("ray", "early-stopping", DIVERGING, 1, "training diverged", marks=NEEDS_RAY),
    ],
    ids=["torchrun, rejected", "torchrun, failed", "ray, failed"],
)
def test_an_error_is_one_line_and_is_not_retried(start, launcher, recipe, changes, code, sentence, tmp_path):
    settings = [word for change in changes for word in ("--set", change)]
    workers = ("--workers", "2", "--launcher", launcher, "--out", str(tmp_path / "run"))
    process = start("tinysight", "train", recipe, *DATA, *settings, *workers)
    out, err = process.communicate(timeout=DEADLINE)

    assert (process.returncode, out) == (code, ""), err
    assert [line for line in err.splitlines() if sentence in line] == [err.splitlines()[-1]]
    assert "Traceback" not in err
    assert "A worker failed" not in err
    assert (tmp_path / "run").exists() == (code == 1)
    assert code == 2 or Run(tmp_path / "run").summary().status == "failed"


@pytest.mark.slow
def test_an_external_torchrun_starts_workers(start, alone, tmp_path):
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    process = start(*torchrun, *training(tmp_path / "joined", 4))
    out, err = process.communicate(timeout=DEADLINE)

    assert process.returncode == 0, err
    assert out.count("finished: ") == 1
    assert_close(Run(tmp_path / "joined"), alone(4))


def test_without_ray_the_error_gives_the_command_to_install_it(tinysight, monkeypatch):
    monkeypatch.setattr("tinysight._util.optional_deps.version", lambda name: None)
    outcome = tinysight(*COMMAND, "--workers", 2, "--launcher", "ray", "--out", "run")
    assert outcome.refusal() == "ray: not installed. Run pip install 'tinysight[scale]'."
    assert list(Path().iterdir()) == []


def test_an_unknown_launcher_and_zero_workers_are_rejected(tinysight):
    for arguments in (["--launcher", "slurm"], ["--workers", "0"]):
        outcome = tinysight(*COMMAND, *arguments)
        assert outcome.code == 2
        assert arguments[0] in outcome.err


def test_an_external_torchrun_needs_a_run_directory(tinysight, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    assert "its workers need a common run directory. Set --out RUN." in tinysight(*COMMAND).refusal()
    assert list(Path().iterdir()) == []
