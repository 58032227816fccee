"""Fixtures for tuning: a small recipe and dataset, and trials with given results."""

import time

import pytest

from tinysight.data.load import load
from tinysight.recipes import loading
from tinysight.tuning.study import Study, StudyRecord
from tinysight.tuning.trial import TrialResult

ARGUMENT = "shapes:train=100,test=30"


@pytest.fixture(scope="session")
def dataset():
    return load(ARGUMENT)


@pytest.fixture(scope="session")
def recipe():
    return loading.load_recipe("early-stopping", ["training.epochs=2"])


@pytest.fixture(scope="session")
def record(recipe, dataset):
    return StudyRecord(
        recipe=recipe,
        epochs=2,
        trial_seconds=1.0,
        argument=ARGUMENT,
        skip_unreadable=False,
        fingerprint=dataset.without_test().fingerprint,
        task=dataset.task,
        seed=0,
        precision="fp32",
        device="cpu",
        date="2026-01-02",
    )


@pytest.fixture
def study(tmp_path, record):
    """An empty study that this process has joined."""
    study = Study.create(tmp_path / "study", record)
    with study.join():
        yield study


@pytest.fixture
def second_worker(study):
    """The same study, joined by a second worker."""
    second = Study.open(study.path)
    with second.join():
        yield second


@pytest.fixture
def search(study, ended):
    """Return a function that adds trials with the given accuracies; the first is the baseline."""

    def make(*accuracies):
        for accuracy in accuracies:
            study.next_trial().finish(ended(accuracy))

    return make


@pytest.fixture(scope="session")
def ended():
    """Return a function that makes the result of a trial."""
    return lambda accuracy=0.5, ending="finished", error="": TrialResult(ending, accuracy, 2, 1.0, error)


@pytest.fixture(scope="session")
def wait_for():
    """Return a function that waits for a true value of a condition and returns it."""

    def wait(condition, seconds=120):
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, "timed out"
            time.sleep(0.05)
        return value

    return wait
