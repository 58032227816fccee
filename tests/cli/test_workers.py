"""`tinysight train --workers N` gives the run of one worker, even if a worker fails."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
import torch

import tinysight as ts
from tinysight._util import optional_deps
from tinysight._util.ray_utils import ray_session
from tinysight.runs.run import Run

SHAPES = "shapes:train=200,test=40"
DATA = ("--data", SHAPES, "--precision", "fp32")
COMMAND = ("train", "fast-73", *DATA)
DIVERGING = [
    *("optimizer.name=adam", "optimizer.learning_rate=100", "optimizer.beta_2=0", "optimizer.epsilon=1e-30"),
    *("training.batch_size=40", "training.epochs=40"),
]
GHOST_BATCH_OF_400 = ["training.ghost_batch_size=400"]
BATCHES = ("--set", "training.batch_size=40", "--set", "training.ghost_batch_size=20")
DEADLINE = 120  # seconds; a busy machine starts a launcher slowly
# Ray leaves its pipes to the garbage collector.
RAY_WARNINGS = (
    *("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    "ignore::DeprecationWarning:ray",
)
NEEDS_RAY = pytest.mark.skipif(optional_deps.version("ray") is None, reason="needs the extra scale")


def launch(*command):
    """Start Python in a subprocess and return the process."""
    # One thread per process: rounding depends on their number (docs/experiments/distributed-equivalence.md).
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"} | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def training(path, epochs):
    """Return the arguments of a training that writes `path`."""
    return (*COMMAND, *BATCHES, "--epochs", str(epochs), "--out", str(path))


def train_here(path, epochs, callbacks=()):
    """Train on one worker in this process, with the settings of `training`."""
    return ts.train(
        "fast-73", SHAPES, out=path, epochs=epochs, precision="fp32", overrides=BATCHES[1::2], callbacks=callbacks
    )


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

    def train(name, *arguments, epochs=40):
        return start("tinysight", *training(tmp_path / name, epochs), *arguments)

    return train


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Return a function from a number of epochs to an uninterrupted run of one worker."""
    return cache(lambda epochs: train_here(tmp_path_factory.mktemp("alone") / "run", epochs))


@pytest.fixture(scope="module")
def ray_cluster():
    """A Ray cluster that the commands of this process use: each would take seconds to start its own."""
    pytest.importorskip("ray")
    with ray_session(2):
        yield


def wait_until(condition):
    """Wait until `condition()` is true and return its value."""
    end = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)
    return value


def descendants(ancestor):
    """Return the process ids of all descendants of a process id."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # the process has ended
            continue
    pids = {ancestor}
    while children := {child for child, parent in parents.items() if parent in pids} - pids:
        pids |= children
    return pids - {ancestor}


def workers_of(ancestor):
    """Return the process ids of the workers among the descendants."""
    commands = {}
    for pid in descendants(ancestor):
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


def kill_a_worker(ancestor, path, victim):
    """Kill one of the workers among the descendants of a process once the run has a checkpoint."""
    wait_until(Run(path).checkpoint_mtime)
    os.kill(workers_of(ancestor)[victim], signal.SIGKILL)


def assert_restarted(code, out, err, path, expected):
    """Check the result of a training on two workers one of which was killed."""
    assert code == 0, out + err
    assert "A worker failed: restarting all workers from the last checkpoint." in err
    assert "Traceback" not in err
    assert_close(Run(path), expected)
    assert (expected.environment().workers, Run(path).environment().workers) == (1, 2)
    assert [other.name for other in path.parent.iterdir() if other.name.startswith(".")] == []


def test_a_killed_worker_is_restarted_without_changing_the_result(train, alone, tmp_path):
    process = train("killed", "--workers", "2", "--launcher", "torchrun")
    kill_a_worker(process.pid, tmp_path / "killed", 0)
    out, err = process.communicate(timeout=DEADLINE)
    assert_restarted(process.returncode, out, err, tmp_path / "killed", alone(40))


@pytest.mark.slow
@pytest.mark.filterwarnings(*RAY_WARNINGS)
def test_ray_restarts_a_killed_worker_without_changing_the_result(ray_cluster, tinysight, alone, tmp_path):
    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill_a_worker, os.getpid(), tmp_path / "killed", -1)
        outcome = tinysight(*training(tmp_path / "killed", 40), "--workers", 2, "--launcher", "ray")
        killing.result()
    assert_restarted(outcome.code, outcome.out, outcome.err, tmp_path / "killed", alone(40))


def interrupt(process, run):
    """Send Ctrl-C to a training once it has written another checkpoint; check that it leaves no process."""
    before = run.checkpoint_mtime()
    wait_until(lambda: run.checkpoint_mtime() != before)
    workers = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)

    assert process.returncode == 1, out + err
    assert out.startswith("interrupted: fast-73 on shapes, ")
    assert "Traceback" not in err
    wait_until(lambda: not [pid for pid in workers if Path(f"/proc/{pid}").exists()])
    assert json.loads((run.path / "summary.json").read_text())["status"] == "interrupted"


@pytest.mark.slow
def test_a_run_resumes_with_more_and_with_fewer_workers(train, tinysight, alone, tmp_path):
    run = train_here(tmp_path / "run", 40, callbacks=[lambda epoch: signal.raise_signal(signal.SIGINT)])
    assert run.summary().status == "interrupted"
    interrupt(train("run", "--resume", "--workers", "2"), run)
    assert run.environment().changes == ("workers: 1, now 2",)
    assert tinysight(*training(run.path, 40), "--resume").code == 0
    assert_close(run, alone(40))


@pytest.mark.slow
@NEEDS_RAY
def test_ctrl_c_leaves_no_process_of_ray_and_a_run_that_one_worker_can_resume(train, tinysight, alone, tmp_path):
    run = Run(tmp_path / "run")
    interrupt(train("run", "--workers", "2", "--launcher", "ray"), run)
    assert tinysight(*training(run.path, 40), "--resume").code == 0
    assert run.environment().changes == ("workers: 2, now 1",)
    assert_close(run, alone(40))


def assert_one_line(out, err, sentence):
    """Check that a training failed with one line, and was not repeated."""
    assert out == ""
    assert [line for line in err.splitlines() if sentence in line] == [err.splitlines()[-1]]
    assert "Traceback" not in err
    assert "A worker failed" not in err


def failing(path, launcher, recipe, changes):
    """Return the arguments of a training that fails."""
    settings = [word for change in changes for word in ("--set", change)]
    return ("train", recipe, *DATA, *settings, "--workers", "2", "--launcher", launcher, "--out", str(path))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "changes", "code", "sentence"),
    [
        ("fast-73", GHOST_BATCH_OF_400, 2, "2 workers: a batch of 500 has only 1 ghost batches"),
        ("early-stopping", DIVERGING, 1, "training diverged"),
    ],
    ids=["rejected", "failed"],
)
def test_an_error_is_one_line_and_is_not_retried(start, recipe, changes, code, sentence, tmp_path):
    process = start("tinysight", *failing(tmp_path / "run", "torchrun", recipe, changes))
    out, err = process.communicate(timeout=DEADLINE)

    assert process.returncode == code, err
    assert_one_line(out, err, sentence)
    assert (tmp_path / "run").exists() == (code == 1)
    assert code == 2 or Run(tmp_path / "run").summary().status == "failed"


@pytest.mark.slow
@pytest.mark.filterwarnings(*RAY_WARNINGS)
def test_an_error_on_ray_is_one_line_and_is_not_retried(ray_cluster, tinysight, tmp_path):
    outcome = tinysight(*failing(tmp_path / "run", "ray", "early-stopping", DIVERGING))

    assert outcome.code == 1
    assert_one_line(outcome.out, outcome.err, "training diverged")
    assert Run(tmp_path / "run").summary().status == "failed"


@pytest.mark.slow
def test_an_external_torchrun_starts_workers(start, alone, tmp_path):
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    process = start(*torchrun, "tinysight", *training(tmp_path / "joined", 4))
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
