"""The rules for small datasets: what is changed, for how many images, and what the user keeps."""

import pytest

from tinysight._util.errors import RecipeError
from tinysight._util.progress import SilentProgress
from tinysight.recipes import catalog, loading
from tinysight.recipes.schema import EarlyStoppingSection
from tinysight.runs.records import EpochRecord
from tinysight.runs.run import Run
from tinysight.training.early_stopping import EarlyStoppingState
from tinysight.training.small_data import adapt


def fast(*changes):
    return loading.load_recipe("fast", ["training.minutes=1", *changes])


@pytest.mark.parametrize(("n", "is_small"), [(1, True), (216, True), (1999, True), (2000, False), (45_000, False)])
def test_only_fewer_than_four_batches_are_small(n, is_small):
    adapted = adapt(fast(), n)
    assert (adapted != fast()) == is_small
    assert (adapted.training.batch_size, adapted.training.max_epochs) == ((64, 1000) if is_small else (500, None))
    assert adapted.augmentation.horizontal_flip == is_small


def test_an_adapted_recipe_survives_its_file():
    adapted = adapt(fast(), 216)
    assert loading.parse_recipe(loading.dump_recipe(adapted), "recipe.toml") == adapted


@pytest.mark.parametrize("name", [name for name in catalog.list_recipes() if name != "fast"])
def test_recipes_with_a_fixed_network_are_unchanged(name):
    recipe = loading.load_recipe(name)
    assert adapt(recipe, 100) == recipe


def test_a_user_keeps_the_own_augmentation_batch_size_and_number_of_epochs():
    no_flip = fast("augmentation.alternating_flip=false")  # for digits or text
    assert adapt(no_flip, 100).augmentation == no_flip.augmentation
    assert adapt(fast("training.batch_size=100"), 100).training.batch_size == 100
    assert adapt(fast("training.max_epochs=5"), 100).training.max_epochs == 5
    fixed = fast("model.stem_stride=1", "model.channels=[8]")
    assert adapt(fixed, 100) == fixed


def test_a_maximum_of_epochs_needs_a_time_budget():
    with pytest.raises(RecipeError, match=r"max_epochs needs minutes\. Set minutes, or epochs instead of max_epochs\."):
        loading.load_recipe("deep", ["training.max_epochs=3"])


def stop_epoch(values, steps_per_epoch, patience, training_accuracy=0.5):
    """Return the epoch after which training stops, or None."""
    state = EarlyStoppingState(EarlyStoppingSection(monitor="val_accuracy", patience=patience), steps_per_epoch)
    for number, value in enumerate(values, 1):
        others = dict.fromkeys(EpochRecord.model_fields, 0.5)
        state.update(EpochRecord(**others | {"epoch": number, "val_accuracy": value, "accuracy": training_accuracy}))
        if state.should_stop:
            return number
    return None


@pytest.mark.parametrize(
    ("steps_per_epoch", "training_accuracy", "expected"),
    [
        (None, 0.5, 1 + 3),  # no time budget: as in Keras
        (100, 0.5, 1 + 3),  # epochs of CIFAR-10, which are at least as long
        (352, 0.5, 1 + 3),
        (352, 1.0, 1 + 3),
        (50, 0.5, 1 + 6),  # 3 epochs count as 300 steps
        (2, 0.5, 1 + 150),
        (2, 1.0, 1 + 100),  # a fitted network: 200 steps
        (150, 1.0, 1 + 3),
    ],
)
def test_patience_counts_short_epochs_as_a_hundred_steps(steps_per_epoch, training_accuracy, expected):
    assert stop_epoch([0.5] * 400, steps_per_epoch, 3, training_accuracy) == expected


def test_only_consecutive_fitted_epochs_shorten_the_patience():
    state = EarlyStoppingState(EarlyStoppingSection(monitor="val_accuracy", patience=3), 2)
    for number in range(1, 130):
        others = dict.fromkeys(EpochRecord.model_fields, 0.5)
        state.update(EpochRecord(**others | {"epoch": number, "accuracy": 0.9 if number % 50 == 0 else 1.0}))
        assert not state.should_stop


class Notes(SilentProgress):
    """Progress that keeps the notes."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def test_a_maximum_of_epochs_ends_a_time_budget_with_a_learning_rate_of_zero(train, plan, tmp_path):
    progress = Notes()
    config = plan("training.minutes=5", "training.max_epochs=3", "optimizer.lr_schedule=linear")
    summary = train(config, tmp_path / "run", progress=progress)

    assert (summary.status, summary.epochs) == ("finished", 3)
    rates = [epoch.lr for epoch in Run(tmp_path / "run").history()]
    assert rates[-1] == 0
    assert rates[0] == pytest.approx(2 * rates[1], rel=0.05)
    reason = next(note for note in progress.notes if "max_epochs" in note)
    assert reason.startswith("Ended after 3 epochs (training.max_epochs)")
    assert "of 5 minutes" in reason


def test_early_stopping_says_how_much_time_is_not_used(train, plan, tmp_path):
    changes = ("training.epochs=30", "early_stopping.monitor=val_accuracy", "early_stopping.min_delta=0.5")
    progress = Notes()
    summary = train(plan(*changes, "early_stopping.patience=2"), tmp_path / "run", progress=progress)

    assert f" Not used: {30 - summary.epochs} of 30 epochs." in progress.notes[0]
    assert summary.train_images == 160
    assert summary.val_majority.name in {"red", "green", "blue", "olive"}
