"""`tinysight tune`: output, files and errors."""

import os
import re
import shlex
import signal
from pathlib import Path

import pytest

from tinysight._util import optional_deps
from tinysight.recipes import loading
from tinysight.tuning import worker

DATA = ("--data", "shapes:train=100,test=30")
SHORT = ("--minutes", "60", "--epochs", "1", "--precision", "fp32", *DATA)


@pytest.fixture
def _two_trials(monkeypatch):
    """Send Ctrl-C at the start of every third trial."""
    train_trial, calls = worker.train_trial, []

    def counted(*arguments):
        calls.append(arguments)
        if len(calls) % 3 == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return train_trial(*arguments)

    monkeypatch.setattr(worker, "train_trial", counted)


@pytest.mark.usefixtures("_two_trials")
def test_prints_the_best_trials_and_the_next_command(tinysight):
    outcome = tinysight("tune", "early-stopping", *SHORT)
    assert outcome.code == 1  # interrupted, as for train
    folder = Path("runs/early-stopping-tuned-1")
    assert f"files: {folder}/best.toml" in outcome.out
    assert "none (baseline)" in outcome.out  # its changes
    assert re.search(r"Best trial: \d, validation accuracy \d+\.\d% after 1 epoch", outcome.out)
    assert outcome.next.endswith(f" --out {folder}")
    notices = outcome.err.splitlines()[:-1]
    assert [line.split(":")[0] for line in notices if line.startswith("trial")] == ["trial 0", "trial 1", "trial 2"]
    assert max(map(len, notices[1:])) <= 80
    assert tinysight(*shlex.split(outcome.next)[1:]).code == 1
    assert len((folder / "trials.jsonl").read_text().splitlines()) == 6


@pytest.mark.usefixtures("_two_trials")
def test_best_recipe_can_be_checked_and_trained(tinysight):
    tinysight("tune", "early-stopping", *SHORT, "--out", "study")
    assert Path("study/best.toml").read_text().startswith("# Found by `tinysight tune early-stopping` on shapes")
    assert tinysight("recipes", "check", "study/best.toml").code == 0
    trained = tinysight("train", "study/best.toml", *DATA, "--out", "run")
    assert (trained.code, "finished: early-stopping-tuned on shapes" in trained.out) == (0, True)
    assert loading.load_recipe("study/best.toml").training.epochs == 1


def test_missing_extra_names_what_to_install(tinysight, monkeypatch):
    version = optional_deps.version
    monkeypatch.setattr(optional_deps, "version", lambda name: None if name == "optuna" else version(name))
    refusal = tinysight("tune", "deep", "--minutes", "1").refusal()
    assert refusal == "optuna: not installed. Run pip install 'tinysight[scale]'."


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (["depe", "--minutes", "1"], "Did you mean 'deep'?"),
        (["fast", "--minutes", "1"], "fast: its training depends on a time budget"),
        (["deep", "--minutes", "1", "--out", "."], "exists and is not a tuning study"),
        (["deep", "--minutes", "1", "--data", "nowhere"], "'nowhere': no such dataset or folder"),
        (["deep", "--minutes", "1", "--set", "optimizer.learning_rte=1"], "optimizer.learning_rte"),
    ],
)
def test_invalid_arguments_are_one_sentence(tinysight, command, error):
    Path("mine").write_text("mine")
    assert error in tinysight("tune", *command).refusal()
    assert os.listdir() == ["mine"]


def test_too_little_time_is_one_sentence(tinysight):
    refusal = tinysight("tune", "deep", "--minutes", "0.05", *DATA).refusal(1)
    assert "deep: the time is too short to tune it" in refusal
    assert os.listdir() == []
