"""`tinysight tune`: what it prints, what it leaves, and what it refuses."""

import os
import shlex
import signal
from pathlib import Path

import pytest

from tinysight import packages
from tinysight.recipes import loading
from tinysight.tuning import work

DATA = ("--data", "shapes:train=100,test=30")
BRIEFLY = ("--minutes", "60", "--epochs", "1", "--precision", "fp32", *DATA)


@pytest.fixture
def _two_trials(monkeypatch):
    """Press Ctrl-C as the third trial begins."""
    attempt, begun = work.attempt, []

    def counted(*arguments):
        begun.append(arguments)
        if len(begun) % 3 == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return attempt(*arguments)

    monkeypatch.setattr(work, "attempt", counted)


@pytest.mark.usefixtures("_two_trials")
def test_it_tells_the_best_trials_and_what_to_do_next(tinysight):
    outcome = tinysight("tune", "early-stopping", *BRIEFLY)
    assert outcome.code == 1  # it was interrupted, as a training that was has this code
    folder = Path("runs/early-stopping-tuned-1")
    assert f"files: {folder}/best.toml" in outcome.out
    assert "nothing" in outcome.out  # what the recipe as it was differs in
    assert "came furthest: validation accuracy" in outcome.out
    again = next(line for line in outcome.out.splitlines() if line.startswith("resume with:"))
    assert again.endswith(f"--out {folder}")
    notices = outcome.err.splitlines()
    assert [line.split(":")[0] for line in notices if line.startswith("trial")] == ["trial 0", "trial 1", "trial 2"]
    assert max(map(len, notices[1:])) <= 80
    assert tinysight(*shlex.split(again)[3:]).code == 1
    assert len((folder / "trials.jsonl").read_text().splitlines()) == 6


@pytest.mark.usefixtures("_two_trials")
def test_the_best_recipe_can_be_checked_and_trained(tinysight):
    tinysight("tune", "early-stopping", *BRIEFLY, "--out", "study")
    assert Path("study/best.toml").read_text().startswith("# Found by `tinysight tune early-stopping` on shapes")
    assert tinysight("recipes", "check", "study/best.toml").code == 0
    trained = tinysight("train", "study/best.toml", *DATA, "--out", "run")
    assert (trained.code, "finished: early-stopping-tuned on shapes" in trained.out) == (0, True)
    assert loading.load("study/best.toml").training.epochs == 1


def test_without_the_extra_it_says_what_to_install(tinysight, monkeypatch):
    version = packages.version
    monkeypatch.setattr(packages, "version", lambda name: None if name == "optuna" else version(name))
    refusal = tinysight("tune", "deep", "--minutes", "1").refusal()
    assert refusal == "optuna: not installed. Run pip install 'tinysight[scale]'."


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["depe", "--minutes", "1"], "Did you mean 'deep'?"),
        (["fast", "--minutes", "1"], "The recipe fast goes by the clock"),
        (["deep", "--minutes", "1", "--out", "."], "exists already and is no study"),
        (["deep", "--minutes", "1", "--data", "nowhere"], "There is no folder of images 'nowhere'"),
        (["deep", "--minutes", "1", "--set", "optimiser.learning_rte=1"], "optimiser.learning_rte"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(tinysight, command, said):
    Path("mine").write_text("mine")
    assert said in tinysight("tune", *command).refusal()
    assert os.listdir() == ["mine"]


def test_too_little_time_is_said_in_a_sentence(tinysight):
    refusal = tinysight("tune", "deep", "--minutes", "0.05", *DATA).refusal(1)
    assert "The time is too short to tune deep on these images" in refusal
    assert os.listdir() == []
