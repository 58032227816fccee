"""The length of the trials follows from speed and time, and other settings or directories are refused."""

import math
import time

import pytest

from tinysight._util.errors import RunError, TrainingError
from tinysight._util.progress import SilentProgress
from tinysight._util.timing import Deadline
from tinysight.recipes import loading
from tinysight.tuning.setup import (
    TuneRequest,
    check_available_or_same,
    check_same_images,
    check_same_settings,
    check_tunable,
    create_study,
    measure_epoch_seconds,
)
from tinysight.tuning.study import Study
from tinysight.tuning.trial import TrialContext

ARGUMENT = "shapes:train=100,test=30"


class Notes(SilentProgress):
    """Progress that keeps its notices."""

    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def create(tmp_path, dataset, recipe, monkeypatch):
    """Return a function that creates a study for a given speed and time; it returns the study and the notices."""

    def make(epoch_seconds, seconds, workers=1, epochs=100):
        monkeypatch.setattr("tinysight.tuning.setup.measure_epoch_seconds", lambda *_: epoch_seconds)
        longer = loading.parse_recipe(loading.dump_recipe(recipe), "recipe", [f"training.epochs={epochs}"])
        progress, request = Notes(), TuneRequest(longer, ARGUMENT, precision="fp32")
        deadline = Deadline(time.perf_counter(), seconds)
        return create_study(tmp_path / "study", request, dataset, deadline, workers, progress), progress.notes

    return make


@pytest.mark.parametrize(
    ("epoch_seconds", "seconds", "workers", "epochs", "expected"),
    [
        (1.0, 12 * 10 / 0.7 + 5, 1, 100, 10),  # 12 trials of 10 epochs fit into 70 % of the time
        (1.0, 12 * 10 / 0.7 - 1, 1, 100, 9),
        (2.0, 12 * 10 / 0.7 + 5, 1, 100, 5),
        (2.0, 12 * 10 / 0.7 + 5, 2, 100, 10),  # two processes
        (1.0, 12 * 10 / 0.7 + 5, 1, 8, 8),  # never more than the recipe
        (1.0, 5.0, 1, 100, 1),  # at least one
        (1e-3, 1e6, 1, 20, 20),
    ],
)
def test_epochs_of_a_trial_by_hand(create, epoch_seconds, seconds, workers, epochs, expected):
    study, notes = create(epoch_seconds, seconds, workers, epochs)
    assert study.record.epochs == expected
    assert study.record.trial_seconds == expected * epoch_seconds
    assert study.median_trial_seconds() == expected * epoch_seconds  # before any trial has finished
    assert bool(notes) == (expected < epochs)


def test_shortened_trials_are_announced_with_the_time_that_full_ones_need(create):
    _, notes = create(1.0, 12 * 10 / 0.7 + 5)
    assert notes == [
        "Trials are shortened to 10 of 100 epochs, so that 12 fit into the time. The best values for the full length "
        "may differ. Full-length trials need about 29 minutes."  # 12 * 100 s / 0.7
    ]


def test_time_for_fewer_than_four_trials_is_refused_with_the_time_needed(create, tmp_path):
    with pytest.raises(TrainingError) as error:
        create(10.0, 39.0)
    assert str(error.value) == (
        "early-stopping: the time is too short to tune it, because one epoch takes 10.0 s. Allow at least 0.9 minutes "
        "or use fewer images."  # 4 * 10 s and 10 s more
    )
    assert not (tmp_path / "study").exists()


def test_record_states_what_the_trials_depend_on(create, dataset):
    study, _ = create(1e-3, 1e6)
    record = Study.open(study.path).record
    assert record == study.record
    assert (record.argument, record.seed, record.precision, record.device) == (ARGUMENT, 0, "fp32", "cpu")
    assert record.fingerprint == dataset.without_test().fingerprint
    check_same_images(study, dataset.without_test())


def test_measured_speed_is_positive_and_finite(dataset, recipe):
    context = TrialContext.create(dataset, recipe, 0, "fp32", "cpu")
    seconds = measure_epoch_seconds(context, recipe, 0)
    assert seconds > 0
    assert math.isfinite(seconds)


def changed(recipe, **sections):
    """Return a copy of a recipe with changed sections; None removes one."""
    updates = {
        name: None if values is None else getattr(recipe, name).model_copy(update=values)
        for name, values in sections.items()
    }
    return recipe.model_copy(update=updates)


@pytest.mark.parametrize(
    ("sections", "difference"),
    [
        ({"early_stopping": None}, "early_stopping: .* there, None requested"),
        ({"early_stopping": {"patience": 7}}, r"early_stopping\.patience: 2 there, 7 requested"),
        ({"optimizer": {"learning_rate": 0.5}}, r"optimizer\.learning_rate: 0\.001 there, 0\.5 requested"),
        ({"augmentation": {"cutout": 3}}, r"augmentation\.cutout: 0 there, 3 requested"),
        ({"data": {"validation_fraction": 0.4}}, r"data\.validation_fraction: .* there, 0\.4 requested"),
    ],
)
def test_differing_value_is_named(study, recipe, sections, difference):
    request = TuneRequest(changed(recipe, **sections), ARGUMENT)
    with pytest.raises(RunError, match=rf"is a study with other settings \({difference}\)\. Use the same settings or"):
        check_same_settings(study, request)


def test_name_and_description_of_a_recipe_may_differ(study, recipe):
    request = TuneRequest(recipe.model_copy(update={"name": "other", "description": "new"}), ARGUMENT)
    check_same_settings(study, request)
    check_available_or_same(study.path, request)


@pytest.mark.parametrize("content", ["file", "directory"])
def test_existing_files_are_not_taken_for_a_study(tmp_path, recipe, content):
    path = tmp_path / "mine"
    if content == "file":
        path.write_text("mine")
    else:
        path.mkdir()
        (path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match=r"mine: exists and is not a tuning study\. Choose another output directory\.$"):
        check_available_or_same(path, TuneRequest(recipe, ARGUMENT))


def test_new_and_empty_directories_are_available(tmp_path, recipe):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new", "a/b/c"):
        check_available_or_same(tmp_path / name, TuneRequest(recipe, ARGUMENT))
    assert not (tmp_path / "new").exists()


def test_damaged_record_is_refused(study, recipe):
    path = study.path / "study.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 5'))
    with pytest.raises(RunError, match=r"study\.json"):
        check_available_or_same(study.path, TuneRequest(recipe, ARGUMENT))


@pytest.mark.parametrize("name", ["deep", "early-stopping", "fast-85"])
def test_recipes_with_a_fixed_length_and_network_are_tunable(name):
    check_tunable(loading.load_recipe(name))
