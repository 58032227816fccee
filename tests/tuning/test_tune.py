"""Tuning end to end: results, resuming, interruption and deadlines."""

import json
import os
import signal
import time

import pytest

from tinysight._util.errors import RunError, TrainingError
from tinysight._util.progress import SilentProgress
from tinysight.data.load import load
from tinysight.recipes import loading
from tinysight.tuning import worker
from tinysight.tuning.setup import TuneRequest, check_tunable
from tinysight.tuning.study import Study
from tinysight.tuning.tune import tune

ARGUMENT = "shapes:train=100,test=30"


class CtrlC(SilentProgress):
    """Progress that sends Ctrl-C after the given number of trainings."""

    def __init__(self, after):
        self.after, self.lines = after, []

    def finish(self, line=""):
        """Count the final lines of trainings."""
        self.lines += [line] if line else []
        if line and len(self.lines) == self.after:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def run(tmp_path, dataset, recipe):
    """Return a function that tunes in one directory until a number of trainings are done."""

    def tune_until(trainings, dataset=dataset, minutes=60, start=None, **settings):
        request = TuneRequest(**{"recipe": recipe, "argument": ARGUMENT, "precision": "fp32"} | settings)
        progress = CtrlC(trainings)
        start = time.perf_counter() if start is None else start
        return tune(tmp_path / "study", request, dataset, minutes, start, progress=progress), progress.lines

    return tune_until


def test_writes_a_valid_recipe_one_line_per_trial_and_a_plot(run, tmp_path, recipe):
    tuned, lines = run(3)
    assert tuned.interrupted
    assert [line.split(":")[0] for line in lines] == ["trial 0", "trial 1", "trial 2"]
    best = loading.load_recipe(str(tmp_path / "study" / "best.toml"))
    assert best.name == "early-stopping-tuned"
    assert best.training.epochs == recipe.training.epochs
    trials = [json.loads(line) for line in (tmp_path / "study" / "trials.jsonl").read_text().splitlines()]
    assert [trial["number"] for trial in trials] == [0, 1, 2]
    assert trials[0]["changes"] == {}
    assert max(trial["accuracy"] for trial in trials) == tuned.selection.best.score
    assert (tmp_path / "study" / "plots" / "history.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "study" / "plots" / "importance.png").exists()  # needs ten finished trials


def test_resumes_where_it_was_stopped(run):
    before = run(2)[0].study.trials()
    after = run(2)[0].study.trials()
    assert after[:2] == before
    assert [trial.number for trial in after] == [0, 1, 2, 3]
    assert [trial.worker for trial in after] == [0, 0, 1, 1]


def test_same_seed_gives_the_same_trials(run, tmp_path):
    first = run(3)[0].study.trials()
    (tmp_path / "study").rename(tmp_path / "before")
    again = run(3)[0].study.trials()
    assert [(trial.values, trial.curve) for trial in again] == [(trial.values, trial.curve) for trial in first]


def test_sigterm_stops_the_search_and_keeps_its_trials(run, monkeypatch):
    train_trial = worker.train_trial

    def interrupted(*arguments):
        result = train_trial(*arguments)
        os.kill(os.getpid(), signal.SIGTERM)
        return result

    monkeypatch.setattr(worker, "train_trial", interrupted)
    tuned, _ = run(5)
    assert (tuned.interrupted, [trial.state for trial in tuned.study.trials()]) == (True, ["finished"])


def test_new_seeds_decide_after_the_search(run, monkeypatch):
    """With a negative search fraction, all of the time is for trainings with new seeds."""
    monkeypatch.setattr(worker, "SEARCH_FRACTION", -1.0)
    tuned, lines = run(9)
    best = tuned.selection.challenger
    assert best is not None
    assert {f"trial 0, new seed 1: {line.split(': ')[1]}" for line in lines} & set(lines)
    assert any(line.startswith(f"trial {best.number}, new seed 1") for line in lines)
    assert len(tuned.selection.pairs) >= 1


def test_trials_are_shortened_if_the_time_is_short(run, recipe, monkeypatch):
    long = loading.load_recipe("early-stopping", ["training.epochs=1000"])
    monkeypatch.setattr("tinysight.tuning.setup.measure_epoch_seconds", lambda *_: 1.0)
    tuned, _ = run(1, recipe=long, minutes=12 * 7 / 60 / 0.7)  # 12 trials of 7 epochs, minus the reserved seconds
    assert tuned.study.record.epochs == 6


def test_too_little_time_is_rejected_before_anything_is_written(run, tmp_path, monkeypatch):
    monkeypatch.setattr("tinysight.tuning.setup.measure_epoch_seconds", lambda *_: 60.0)
    with pytest.raises(TrainingError, match=r"one epoch takes 60\.0 s\. Allow at least 4\.\d minutes"):
        run(1, minutes=2)
    assert not (tmp_path / "study").exists()


def test_no_trial_starts_after_the_deadline(run):
    before = run(2)[0].study.trials()
    tuned, lines = run(1, minutes=1, start=time.perf_counter() - 60)
    assert (tuned.interrupted, lines, tuned.study.trials()) == (False, [], before)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"seed": 1}, "seed: 0 there, 1 requested"),
        (
            {"recipe": loading.load_recipe("early-stopping", ["training.epochs=3"])},
            "training.epochs: 2 there, 3 requested",
        ),
        ({"recipe": loading.load_recipe("deep")}, "model.architecture: early-stopping there, deep requested"),
        ({"precision": "bf16"}, "precision: fp32 there, bf16 requested"),
        ({"dataset": load("shapes:train=100,test=30,seed=1")}, "is a study of other images than shapes"),
    ],
)
def test_study_with_other_settings_is_not_joined(run, changes, difference):
    run(1)
    with pytest.raises(RunError, match=difference):
        run(1, **changes)


def test_other_test_images_are_allowed(run):
    run(1)
    assert len(run(1, dataset=load("shapes:train=100,test=60"))[0].study.trials()) == 2


@pytest.mark.parametrize("changes", [["training.minutes=1"], []])
def test_recipes_with_a_time_budget_are_rejected(changes):
    with pytest.raises(Exception, match="its training depends on a time budget"):
        check_tunable(loading.load_recipe("deep" if changes else "fast", changes))


def test_study_without_a_finished_trial_reports_the_first_error(run, tmp_path, monkeypatch):
    train_trial = worker.train_trial

    def diverging(context, recipe, *more):
        optimizer = recipe.optimizer.model_copy(update={"learning_rate": 1e30})
        return train_trial(context, recipe.model_copy(update={"optimizer": optimizer}), *more)

    monkeypatch.setattr(worker, "train_trial", diverging)
    with pytest.raises(TrainingError, match=r"no trial has finished.*training diverged"):
        run(2)
    assert [trial.state for trial in Study.open(tmp_path / "study").trials()] == ["failed"] * 2
