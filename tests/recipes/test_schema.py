"""Defaults, bounds and rules of the recipe schema, against values written by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tinysight._util.errors import InputError, RecipeError
from tinysight.recipes import layers
from tinysight.recipes.loading import apply_override, dump_recipe, load_with_overrides, parse_recipe
from tinysight.recipes.schema import SECTIONS, ModelSection, OptimizerSection, Recipe
from tinysight.recipes.search_space import Choices, LogScale, Multiples, SearchRange, Uniform

TINY = 1e-9

# key: smallest and largest accepted value, and the nearest refused values
BOUNDS = {
    "data.image_size": (8, 512, 7, 513),
    "data.validation_fraction": (TINY, 0.9 - TINY, 0, 0.9),
    "optimizer.learning_rate": (TINY, 100, 0, 100.01),
    "optimizer.warmup_epochs": (0, 19, -TINY, 1000.01),
    "optimizer.rho": (0, 1 - TINY, -TINY, 1),
    "optimizer.beta_1": (0, 1 - TINY, -TINY, 1),
    "optimizer.beta_2": (0, 1 - TINY, -TINY, 1),
    "optimizer.epsilon": (TINY, 1, 0, 1.01),
    "training.epochs": (1, 100_000, 0, 100_001),
    "training.minutes": (TINY, 100_000, 0, 100_000.1),
    "training.batch_size": (1, 1_000_000, 0, 1_000_001),
    "training.ghost_batch_size": (1, 1_000_000, 0, 1_000_001),
    "training.label_smoothing": (0, 1 - TINY, -TINY, 1),
    "training.target_error": (TINY, 1 - TINY, 0, 1),
    "early_stopping.patience": (0, 10**6, -1, -1),
    "early_stopping.min_delta": (0, 10**6, -TINY, -1),
}


def with_value(key, value):
    values = {"name": "mine"}
    apply_override(values, f"{key}={value}")
    return Recipe.model_validate(values)


@pytest.mark.parametrize("key", BOUNDS)
def test_values_at_the_bounds_are_accepted_and_those_beyond_refused(key):
    low, high, below, above = BOUNDS[key]
    section, name = key.split(".")
    for value in (low, high):
        assert getattr(getattr(with_value(key, value), section), name) == value
    for value in (below, above):
        with pytest.raises(ValidationError, match=name):
            with_value(key, value)


# The ranges that `tune` searches, without those of the transforms.
RANGES = {
    "optimizer.learning_rate": LogScale(4),
    "optimizer.lr_schedule": Choices(("constant", "linear")),
    "optimizer.rho": Uniform(0.8, 0.99, condition=("optimizer.name", "rmsprop")),
    "optimizer.beta_1": Uniform(0.8, 0.98, condition=("optimizer.name", "adam")),
    "optimizer.muon_momentum": Uniform(0.3, 0.9, condition=("optimizer.name", "muon")),
    "optimizer.bias_learning_rate": LogScale(4, condition=("optimizer.name", "muon")),
    "optimizer.head_learning_rate": LogScale(4, condition=("optimizer.name", "muon")),
    "optimizer.momentum": Uniform(0.6, 0.95, condition=("optimizer.name", "muon")),
    "optimizer.weight_decay": Uniform(0, 0.004, condition=("optimizer.name", "muon")),
    "training.batch_size": Multiples((0.5, 1, 2)),
    "training.label_smoothing": Uniform(0, 0.3),
}


def test_search_ranges_are_those_written_by_hand():
    ranges = {
        f"{section}.{name}": note
        for section, kind in SECTIONS.items()
        for name, field in kind.model_fields.items()
        for note in field.metadata
        if isinstance(note, SearchRange) and section != "augmentation"
    }
    assert ranges == RANGES


# keys of one optimizer, with a value that differs from the default
OTHERS = {
    "muon_momentum": (0.5, {"muon"}),
    "bias_learning_rate": (1.0, {"muon"}),
    "head_learning_rate": (1.0, {"muon"}),
    "momentum": (0.5, {"sgd", "muon"}),
    "weight_decay": (0.1, {"sgd", "adamw", "muon"}),
}


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "sgd", "adamw", "muon"])
@pytest.mark.parametrize("key", OTHERS)
def test_key_that_the_optimizer_ignores_is_refused_unless_it_has_its_default(optimizer, key):
    value, optimizers = OTHERS[key]
    default = OptimizerSection.model_fields[key].default
    assert getattr(OptimizerSection(name=optimizer, **{key: default}), key) == default
    if optimizer in optimizers:
        assert getattr(OptimizerSection(name=optimizer, **{key: value}), key) == value
    else:
        with pytest.raises(ValidationError, match=rf"{key} needs optimizer .*, not {optimizer}\. Remove it"):
            OptimizerSection(name=optimizer, **{key: value})


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            'model={architecture="layers"}',
            "model: architecture 'layers' and the list layers require each other. Set both or neither.",
        ),
        (
            'model={layers=[{kind="flatten"}]}',
            "model: architecture 'layers' and the list layers require each other. Set both or neither.",
        ),
        (
            'model={architecture="fast", channels=[16]}',
            "model: stem_stride and channels require each other. Set both, or neither to use the time budget.",
        ),
        (
            "optimizer.warmup_epochs=20",
            "optimizer.warmup_epochs is 20, but it must be less than training.epochs, which is 20. Use a smaller "
            "value.",
        ),
        (
            'optimizer={name="muon", bias_learning_rate=1.0}',
            "optimizer.head_learning_rate is missing. Its default suits the scaled head of architecture fast only. Set "
            "it, for example to 0.1.",
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused_with_the_sentence(override, sentence):
    with pytest.raises(RecipeError) as caught:
        parse_recipe("name = 'mine'", "mine.toml", [override])
    assert str(caught.value) == f"mine.toml: {sentence}"


def test_only_a_fast_network_without_widths_needs_a_time_budget():
    assert ModelSection(architecture="fast").needs_time_budget
    assert not ModelSection(architecture="fast", stem_stride=1, channels=[8]).needs_time_budget
    assert not ModelSection(architecture="resnet-9").needs_time_budget


def test_recipes_and_layers_cannot_be_changed():
    recipe = Recipe(name="mine")
    for section, key in [(recipe, "name"), (recipe.training, "epochs"), (layers.Flatten(), "kind")]:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section, key, "x")


def test_excluded_images_are_a_copy_of_the_recipe(tmp_path):
    recipe = Recipe(name="mine")
    changed = recipe.with_excluded(tmp_path / "list.csv")
    assert changed.data.exclude_file == str(tmp_path / "list.csv")
    assert recipe.data.exclude_file is None
    assert changed.with_excluded(tmp_path).model_copy(update={"data": recipe.data}) == recipe


@pytest.mark.parametrize(
    ("length", "overrides", "sentence"),
    [
        ({"epochs": 1, "minutes": 1}, [], "epochs and minutes: both set the training length. Use one of them."),
        (
            {"epochs": 1},
            ["training.minutes=2"],
            "Recipe deep: sets training.minutes, so epochs has no effect. Remove one of them.",
        ),
    ],
)
def test_two_training_lengths_are_refused_with_the_sentence(length, overrides, sentence):
    with pytest.raises(InputError) as caught:
        load_with_overrides("deep", overrides, **length)
    assert str(caught.value) == sentence


def test_shorthands_win_over_overrides():
    assert load_with_overrides("deep", ["training.epochs=30"], epochs=7).training.epochs == 7
    assert load_with_overrides("deep", ["training.minutes=3"], minutes=0.5).training.minutes == 0.5


pairs, counts = st.tuples(st.integers(1, 64), st.integers(1, 64)), st.integers(1, 65_536)
floats, edges = st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 64)
paddings = st.sampled_from(["valid", "same"])
plain_layers = st.one_of(
    st.builds(layers.Conv2d, channels=counts, kernel=pairs, stride=pairs, padding=paddings, bias=st.booleans()),
    st.builds(layers.DepthwiseConv2d, kernel=pairs, dilation=pairs, multiplier=counts),
    st.builds(
        layers.Pool2d,
        kind=st.sampled_from(["max_pooling", "average_pooling"]),
        window=pairs,
        stride=pairs,
        padding=paddings,
    ),
    st.builds(layers.BatchNorm, epsilon=st.floats(1e-300, 1), scale=st.booleans(), shift=st.booleans()),
    st.builds(layers.Dropout, rate=st.floats(0, 1, exclude_max=True)),
    st.builds(layers.Dense, outputs=counts, bias=st.booleans()),
    st.builds(layers.ZeroPadding, top=edges, bottom=edges, left=edges, right=edges),
    st.builds(layers.Rescaling, scale=st.one_of(floats, st.tuples(floats, floats, floats)), offset=floats),
    st.builds(layers.Activation, function=st.sampled_from(["relu", "elu"]), slope=floats),
    st.just(layers.Flatten()),
)
residuals = st.builds(
    layers.Residual,
    layers=st.lists(plain_layers, min_size=1, max_size=3),
    shortcut=st.lists(plain_layers, max_size=2),
)


@given(st.lists(plain_layers | residuals, min_size=1, max_size=5), st.text(max_size=30))
def test_any_layers_and_description_survive_writing_and_reading(specs, description):
    recipe = Recipe(name="mine", description=description, model=ModelSection(architecture="layers", layers=specs))
    assert parse_recipe(dump_recipe(recipe), "again") == recipe
