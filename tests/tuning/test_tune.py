"""From beginning to end: a folder with a recipe in it, whatever ends the work."""

import json
import os
import signal
import time

import pytest

from tinysight.data.load import load
from tinysight.errors import RunError, TrainingError
from tinysight.progress import Silent
from tinysight.recipes import loading
from tinysight.tuning import work as working
from tinysight.tuning.beginning import Order, require_tunable
from tinysight.tuning.study import Study
from tinysight.tuning.tune import tune

ARGUMENT = "shapes:train=100,test=30"


class CtrlC(Silent):
    """Somebody who presses Ctrl-C as soon as so many trainings are over."""

    def __init__(self, after):
        self.after, self.lines = after, []

    def finish(self, line=""):
        """Count the lines that remain."""
        self.lines += [line] if line else []
        if line and len(self.lines) == self.after:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def run(tmp_path, dataset, recipe):
    """Return a function that tunes, by default into the same folder, until so many trainings are over."""

    def tune_until(trainings, dataset=dataset, minutes=60, begun=None, **order):
        asked = Order(**{"recipe": recipe, "argument": ARGUMENT, "precision": "fp32"} | order)
        progress = CtrlC(trainings)
        begun = time.perf_counter() if begun is None else begun
        return tune(tmp_path / "study", asked, dataset, minutes, begun, progress=progress), progress.lines

    return tune_until


def test_it_leaves_a_recipe_that_can_be_trained_a_line_a_trial_and_a_plot(run, tmp_path, recipe):
    tuned, lines = run(3)
    assert tuned.interrupted
    assert [line.split(":")[0] for line in lines] == ["trial 0", "trial 1", "trial 2"]
    best = loading.load(str(tmp_path / "study" / "best.toml"))
    assert best.name == "early-stopping-tuned"
    assert best.training.epochs == recipe.training.epochs
    told = [json.loads(line) for line in (tmp_path / "study" / "trials.jsonl").read_text().splitlines()]
    assert [one["number"] for one in told] == [0, 1, 2]
    assert told[0]["changes"] == {}
    assert max(one["accuracy"] for one in told) == tuned.verdict.best.accuracy
    assert (tmp_path / "study" / "plots" / "history.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "study" / "plots" / "importance.png").exists()  # too little is known for it


def test_it_goes_on_where_it_was_stopped(run):
    before = run(2)[0].study.trials()
    after = run(2)[0].study.trials()
    assert after[:2] == before
    assert [trial.number for trial in after] == [0, 1, 2, 3]
    assert [trial.worker for trial in after] == [0, 0, 1, 1]


def test_the_same_seed_tries_the_same(run, tmp_path):
    first = run(3)[0].study.trials()
    (tmp_path / "study").rename(tmp_path / "before")
    again = run(3)[0].study.trials()
    assert [(trial.values, trial.curve) for trial in again] == [(trial.values, trial.curve) for trial in first]


def test_ctrl_c_ends_it_within_a_step_and_what_was_found_stays(run, monkeypatch):
    attempt = working.attempt

    def interrupted(*arguments):
        outcome = attempt(*arguments)
        os.kill(os.getpid(), signal.SIGTERM)
        return outcome

    monkeypatch.setattr(working, "attempt", interrupted)
    tuned, _ = run(5)
    assert (tuned.interrupted, [trial.state for trial in tuned.study.trials()]) == (True, ["finished"])


def test_once_the_search_is_over_fresh_seeds_decide(run, monkeypatch):
    """The clock says so: all of the time that is left is that of the trainings with fresh seeds."""
    monkeypatch.setattr(working, "SEARCHING", -1.0)
    tuned, lines = run(9)
    best = tuned.verdict.rival
    assert best is not None
    assert {f"trial 0, fresh seed 1: {line.split(': ')[1]}" for line in lines} & set(lines)
    assert any(line.startswith(f"trial {best.number}, fresh seed 1") for line in lines)
    assert len(tuned.verdict.pairs) >= 1


def test_trials_are_shortened_where_the_time_is_short(run, recipe, monkeypatch):
    long = loading.load("early-stopping", ["training.epochs=1000"])
    monkeypatch.setattr("tinysight.tuning.beginning.epoch_seconds", lambda *_: 1.0)
    tuned, _ = run(1, recipe=long, minutes=12 * 7 / 60 / 0.7)  # a dozen trials of seven epochs, less what closing takes
    assert tuned.study.record.epochs == 6


def test_too_little_time_is_told_before_anything_is_made(run, tmp_path, monkeypatch):
    monkeypatch.setattr("tinysight.tuning.beginning.epoch_seconds", lambda *_: 60.0)
    with pytest.raises(TrainingError, match=r"one epoch takes 60\.0 s here, so give at least --minutes 4\.\d"):
        run(1, minutes=2)
    assert not (tmp_path / "study").exists()


def test_time_that_is_over_begins_no_trial(run):
    before = run(2)[0].study.trials()
    tuned, lines = run(1, minutes=1, begun=time.perf_counter() - 60)
    assert (tuned.interrupted, lines, tuned.study.trials()) == (False, [], before)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"seed": 1}, "seed: 0 there, 1 here"),
        ({"recipe": loading.load("early-stopping", ["training.epochs=3"])}, "training.epochs: 2 there, 3 here"),
        ({"recipe": loading.load("deep")}, "model.architecture: early-stopping there, deep here"),
        ({"precision": "bf16"}, "precision: fp32 there, bf16 here"),
        ({"dataset": load("shapes:train=100,test=30,seed=1")}, "is the study of other images than shapes"),
    ],
)
def test_what_is_another_study_is_not_joined(run, other, said):
    run(1)
    with pytest.raises(RunError, match=said):
        run(1, **other)


def test_other_test_images_make_no_other_study(run):
    run(1)
    assert len(run(1, dataset=load("shapes:train=100,test=60"))[0].study.trials()) == 2


@pytest.mark.parametrize("changes", [["training.minutes=1"], []])
def test_recipes_that_go_by_the_clock_are_refused(changes):
    with pytest.raises(Exception, match="goes by the clock"):
        require_tunable(loading.load("deep" if changes else "fast", changes))


def test_a_study_in_which_everything_failed_says_why(run, tmp_path, monkeypatch):
    attempt = working.attempt

    def diverging(subject, recipe, *more):
        wild = recipe.optimiser.model_copy(update={"learning_rate": 1e30})
        return attempt(subject, recipe.model_copy(update={"optimiser": wild}), *more)

    monkeypatch.setattr(working, "attempt", diverging)
    with pytest.raises(TrainingError, match=r"No trial has come to its end.*training diverged"):
        run(2)
    assert [trial.state for trial in Study.open(tmp_path / "study").trials()] == ["failed"] * 2
