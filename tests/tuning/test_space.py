"""Tried recipes are valid, in range, and differ only in keys that have an effect."""

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tinysight.recipes import catalog, loading
from tinysight.recipes.schema import SECTIONS, Recipe
from tinysight.recipes.search_space import SearchRange
from tinysight.tuning.space import SearchSpace, get_value

NAMES = [name for name in catalog.list_recipes() if name != "fast"]  # its network depends on the time budget
SPACES = {name: SearchSpace.of(loading.load_recipe(name)) for name in NAMES}


def suggestions(space):
    """Return a strategy for all values that Optuna may suggest."""
    return st.fixed_dictionaries({key: values_of(distribution) for key, distribution in space.distributions.items()})


def values_of(distribution):
    if isinstance(distribution, CategoricalDistribution):
        return st.sampled_from(distribution.choices)
    if isinstance(distribution, FloatDistribution):
        return st.floats(distribution.low, distribution.high)
    return st.integers(distribution.low, distribution.high)


def flatten(recipe):
    """Return every value of a recipe, by key."""
    content = recipe.model_dump()
    return {f"{section}.{key}": value for section in SECTIONS for key, value in (content[section] or {}).items()}


@given(data=st.data(), name=st.sampled_from(NAMES))
def test_every_suggestion_survives_writing_and_reading(data, name):
    tried = SPACES[name].recipe_with(data.draw(suggestions(SPACES[name])))
    assert loading.parse_recipe(loading.dump_recipe(tried), name) == tried


@given(data=st.data(), name=st.sampled_from(NAMES))
def test_only_suggested_keys_change_with_three_significant_digits(data, name):
    space = SPACES[name]
    values = data.draw(suggestions(space))
    before, after = flatten(space.recipe), flatten(space.recipe_with(values))
    for key, value in after.items():
        expected = pytest.approx(values[key], rel=0.006) if isinstance(values.get(key), float) else values.get(key)
        assert value == (expected if key in values else before[key])
    changed = {key: (before[key], after[key]) for key in after if before[key] != after[key]}
    assert changed == space.changes(values)


@pytest.mark.parametrize("name", NAMES)
def test_search_starts_from_the_unchanged_recipe(name):
    space = SPACES[name]
    assert space.recipe_with(space.baseline) == space.recipe
    assert space.changes(space.baseline) == {}
    for key, value in space.baseline.items():
        distribution = space.distributions[key]
        assert distribution._contains(distribution.to_internal_repr(value)), key


def test_the_recipes_own_values_are_not_rounded():
    recipe = loading.load_recipe("deep", ["optimizer.learning_rate=0.00123456", "training.label_smoothing=0.45"])
    space = SearchSpace.of(recipe)
    assert space.recipe_with(space.baseline) == recipe
    assert space.distributions["training.label_smoothing"].high == 0.45


@pytest.mark.parametrize("key", ["optimizer.learning_rate", "optimizer.lr_schedule", "training.batch_size"])
@pytest.mark.parametrize("name", NAMES)
def test_important_keys_are_searched_in_every_shipped_recipe(name, key):
    assert key in SPACES[name].distributions


def test_every_range_in_the_schema_is_searched_in_some_shipped_recipe():
    ranges = {
        f"{section}.{name}"
        for section, kind in SECTIONS.items()
        for name, field in kind.model_fields.items()
        if any(isinstance(note, SearchRange) for note in field.metadata)
    }
    assert ranges == set().union(*(space.distributions for space in SPACES.values()))


@pytest.mark.parametrize(
    ("name", "absent"),
    [
        ("deep", {"optimizer.beta_1", "optimizer.momentum", "optimizer.weight_decay", "augmentation.rotation"}),
        ("early-stopping", {"optimizer.rho", "optimizer.head_learning_rate"}),
        ("fast-85", {"optimizer.rho", "optimizer.beta_1", "augmentation.horizontal_flip"}),
    ],
)
def test_keys_without_effect_are_not_searched(name, absent):
    assert not absent & set(SPACES[name].distributions)


def test_ranges_respect_the_limits_of_the_schema():
    space = SearchSpace.of(
        loading.load_recipe("fast-85", ["optimizer.learning_rate=90", "optimizer.head_learning_rate=5000"])
    )
    assert space.distributions["optimizer.learning_rate"].high == 100
    assert space.distributions["optimizer.head_learning_rate"].high == 10_000


def test_batch_size_is_halved_and_doubled():
    space = SearchSpace.of(loading.load_recipe("deep", ["training.batch_size=1"]))
    assert space.distributions["training.batch_size"].choices == (1, 2)
    assert get_value(space.recipe, "training.batch_size") == 1


@st.composite
def extreme_recipes(draw):
    """Recipes whose searched values are anywhere in the limits of the schema, often at their ends."""
    below_1 = st.floats(0, 1, exclude_max=True) | st.sampled_from([0.9996, 0.99999])
    changes = {
        "optimizer.learning_rate": draw(st.floats(1e-9, 100) | st.just(100.0)),
        "training.batch_size": draw(st.integers(1, 1_000_000) | st.just(1_000_000)),
        "training.label_smoothing": draw(below_1),
        "augmentation.cutout": draw(st.integers(0, 32)),
        "optimizer.lr_schedule": draw(st.sampled_from(["constant", "linear", "cosine"])),
    }
    name = draw(st.sampled_from(NAMES))
    match SPACES[name].recipe.optimizer.name:
        case "rmsprop":
            changes["optimizer.rho"] = draw(below_1)
        case "adam":
            changes["optimizer.beta_1"] = draw(below_1)
        case "muon":
            changes["optimizer.momentum"] = draw(below_1)
            changes["optimizer.head_learning_rate"] = draw(st.floats(1e-6, 10_000))
    return with_values(SPACES[name].recipe, changes)


def with_values(recipe, values):
    """Return a valid recipe with other values, by key."""
    content = recipe.model_dump()
    for key, value in values.items():
        section, name = key.split(".")
        content[section][name] = value
    return Recipe.model_validate(content)


@given(data=st.data(), recipe=extreme_recipes())
def test_every_suggestion_around_any_valid_recipe_is_valid_and_in_range(data, recipe):
    space = SearchSpace.of(recipe)
    values = data.draw(suggestions(space))
    tried = flatten(space.recipe_with(values))
    for key, distribution in space.distributions.items():
        if isinstance(distribution, CategoricalDistribution):
            assert tried[key] in distribution.choices
        else:
            rounding = 0.005 * abs(distribution.low)
            assert distribution.low - rounding <= tried[key] <= distribution.high


@given(extreme_recipes(), st.sampled_from([min, max]))
def test_both_ends_of_every_range_are_valid(recipe, end):
    space = SearchSpace.of(recipe)
    values = {
        key: end(distribution.choices, key=str)
        if isinstance(distribution, CategoricalDistribution)
        else end(distribution.low, distribution.high)
        for key, distribution in space.distributions.items()
    }
    assert loading.parse_recipe(loading.dump_recipe(space.recipe_with(values)), "recipe").name == recipe.name


@given(recipe=extreme_recipes(), seed=st.integers(0, 2**32 - 1))
def test_values_drawn_by_optuna_become_a_recipe_with_these_values(recipe, seed):
    space = SearchSpace.of(recipe)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask(dict(space.distributions))
    tried = flatten(space.recipe_with(trial.params))
    for key, value in trial.params.items():
        assert tried[key] == (pytest.approx(value, rel=0.006) if isinstance(value, float) else value)


def test_ranges_of_a_recipe_by_hand():
    recipe = with_values(SPACES["deep"].recipe, {"optimizer.learning_rate": 0.002, "training.batch_size": 100})
    ranges = SearchSpace.of(recipe).distributions
    assert ranges["optimizer.learning_rate"] == FloatDistribution(0.0005, 0.008, log=True)
    assert ranges["training.batch_size"] == CategoricalDistribution((50, 100, 200))
    assert ranges["training.label_smoothing"] == FloatDistribution(0, 0.3)
    assert ranges["optimizer.lr_schedule"] == CategoricalDistribution(("constant", "linear"))
    assert ranges["augmentation.cutout"] == IntDistribution(0, 12)


@pytest.mark.parametrize(
    ("key", "own", "value", "expected"),
    [
        ("training.label_smoothing", 0.0, 0.123456, 0.123),
        ("training.label_smoothing", 0.9996, 0.99955, 0.9996),  # 1.0 would be invalid
        ("optimizer.learning_rate", 0.001, 0.00399999, 0.004),
        ("optimizer.learning_rate", 100.0, 99.99, 100.0),
        ("training.batch_size", 1_000_000, 500_000, 500_000),
    ],
)
def test_values_are_rounded_within_their_range(key, own, value, expected):
    space = SearchSpace.of(with_values(SPACES["deep"].recipe, {key: own}))
    assert get_value(space.recipe_with({key: value}), key) == expected


def test_largest_batch_size_is_not_doubled():
    space = SearchSpace.of(with_values(SPACES["deep"].recipe, {"training.batch_size": 1_000_000}))
    assert space.distributions["training.batch_size"].choices == (500_000, 1_000_000)
