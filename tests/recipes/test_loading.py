"""Parsing of recipes and overrides, and its error messages."""

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from tinysight._util.errors import RecipeError
from tinysight.recipes.loading import dump_recipe, load_recipe, load_with_overrides, parse_recipe
from tinysight.recipes.schema import SECTIONS, Recipe

KEYS = [f"{name}.{key}" for name, section in SECTIONS.items() for key in section.model_fields]
NUMBERS = [
    f"{name}.{key}"
    for name, section in SECTIONS.items()
    for key, field in section.model_fields.items()
    if field.annotation in (int, float)
]


def parse_error(text="name = 'mine'", overrides=()):
    """Return the one-line message of the RecipeError that `parse` raises."""
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, "mine.toml", overrides)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    return str(caught.value)


def test_missing_keys_have_their_defaults():
    assert parse_recipe("name = 'mine'", "mine.toml") == Recipe(name="mine")


def test_overrides_win_over_the_file_and_later_ones_over_earlier_ones():
    recipe = load_recipe("early-stopping", ["training.epochs=3", "training.epochs=5", "early_stopping.patience=7"])
    assert (recipe.training.epochs, recipe.early_stopping.patience) == (5, 7)
    assert recipe.early_stopping.monitor == "val_loss"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optimizer.name=adam", "adam"),
        ('optimizer.name="adam"', "adam"),
        (" optimizer.name = 'adam' # as in the notebook", "adam"),
    ],
)
def test_strings_may_be_unquoted(override, expected):
    assert load_recipe("simple", [override]).optimizer.name == expected


def test_numbers_and_booleans_use_toml_syntax():
    recipe = load_recipe(
        "simple", ["augmentation.rotation=15", "augmentation.horizontal_flip=true", "optimizer.epsilon=1e-3"]
    )
    assert (recipe.augmentation.rotation, recipe.augmentation.horizontal_flip) == (15, True)
    assert recipe.optimizer.epsilon == 0.001


def test_an_override_can_create_a_section():
    assert load_recipe("simple", ["early_stopping.monitor=val_accuracy"]).early_stopping.monitor == "val_accuracy"


@pytest.mark.parametrize(
    ("override", "advice"),
    [
        ("training.epoch=5", "unknown key 'training.epoch'. Did you mean 'epochs'?"),
        ("epochs=5", "unknown key 'epochs'. Did you mean 'training.epochs'?"),
        ("training.learning_rate=1", "Did you mean 'optimizer.learning_rate'?"),
        ("optimzer.name=adam", "unknown key 'optimzer'. Did you mean 'optimizer'?"),
        ("training.color=1", "Known: method, epochs, minutes, batch_size,"),
        ("data.split=random", "Known: stratified, last-20%, first-10000, time."),
        ("optimizer.name=lamb", "optimizer.name cannot be 'lamb'. Known: rmsprop, adam, sgd, adamw, muon."),
        ("optimizer.momentum=0.9", "momentum needs optimizer sgd or muon, not rmsprop. Remove it."),
        ("optimizer.muon_momentum=0.9", "muon_momentum needs optimizer muon, not rmsprop. Remove it."),
        ("optimizer.name=muon", "optimizer.bias_learning_rate is missing. Its default suits the scaled head of"),
        ("optimizer.warmup_epochs=20", "optimizer.warmup_epochs is 20, but it must be less than training.epochs"),
        ("training.epochs=0", "training.epochs is 0. It should be greater than or equal to 1."),
        ("training.epochs=100001", "training.epochs is 100001. It should be less than or equal to 100000."),
        ("training.batch_size=1000001", "It should be less than or equal to 1000000."),
        ("augmentation.cutout=513", "augmentation.cutout is 513. It should be less than or equal to 512."),
        (
            "model={stem_stride=1, channels=[16]}",
            "stem_stride and channels need architecture fast, not simple. Remove them.",
        ),
        ("training.epochs=many", "training.epochs is 'many'. It should be a valid integer."),
        ("training.epochs=2.5", "It should be a valid integer"),
        ("training.epochs=true", "It should be a valid integer"),
        ("training.epochs='3'", "It should be a valid integer"),
        ("optimizer.learning_rate=true", "It should be a valid number"),
        ("augmentation.horizontal_flip=1", "It should be a valid boolean"),
        ("augmentation.fill_value=9", 'fill_value needs fill_mode = "constant". Set fill_mode, or remove fill_value.'),
        ("name=Mine", "name is 'Mine'. Use lowercase letters, digits, dots and dashes."),
        ("name=", "name is ''. It should have at least 1 character."),
        (f"training.epochs={'9' * 5000}", "It should be a valid integer"),
        (f"training.epochs={'[' * 5000}", "It should be a valid integer"),
        ("training=5", "training is a section, not a value such as 5. Set one of its keys."),
        ("early_stopping=true", "early_stopping is a section, not a value such as True"),
        ("name.first=a", "Override 'name.first=a': name is not a section. Use the form section.key=value."),
        (
            "training.epochs",
            "Override 'training.epochs': not of the form section.key=value. Example: training.epochs=5.",
        ),
        ("=5", "not of the form section.key=value"),
        ("training.=5", "not of the form section.key=value"),
        ("", "not of the form section.key=value"),
    ],
)
def test_a_wrong_override_is_rejected_with_the_fix(override, advice):
    assert advice in parse_error(overrides=[override])


def test_an_override_sets_only_one_key():
    assert "learning_rate" in parse_error(overrides=["optimizer.learning_rate=1\nother = 2"])


@pytest.mark.parametrize("size", [8, 32, 512])
def test_crop_padding_as_large_as_the_image_is_rejected_with_the_maximum(size):
    assert parse_error(overrides=[f"augmentation.crop_padding={size}", f"data.image_size={size}"]) == (
        f"mine.toml: augmentation.crop_padding is {size}, but it must be less than data.image_size, "
        f"which is {size}. Use at most {size - 1}."
    )


def test_crop_padding_smaller_than_the_image_is_accepted():
    assert load_recipe("simple", ["augmentation.crop_padding=31"]).augmentation.crop_padding == 31
    assert load_recipe("simple", ["data.image_size=64", "augmentation.crop_padding=63"]).augmentation.crop_padding == 63


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("name = ", "mine.toml: not valid TOML. Invalid value (at end of document)."),
        ("description = 'no name'", "mine.toml: name is missing. Add it."),
        ("name = 'a'\n[trainning]\nepochs = 3", "unknown key 'trainning'. Did you mean 'training'?"),
        ("name = 'a'\n[training]\nepochs = 'x'\nbatch_size = 0", "(1 more.)"),
        ("name = 'a'\ntraining = [1, 2]", "training is a section, not a value such as [1, 2]"),
        ("name = 1999-12-31", "It should be a valid string"),
        (f"name = '{'A' * 9000}'", "name is 'AAAA"),
        (f"name = 'a'\n{'k' * 9000} = 1", "unknown key 'kkkk"),
        (f"name = {'9' * 5000}", "a number is too long"),
        (f"name = {'[' * 5000}", "brackets are nested too deeply"),
        (f"name = 'a'\ntraining.epochs{'.a' * 500} = 1", "training.epochs is {"),
        ("\0", "mine.toml: not valid TOML"),
    ],
)
def test_an_invalid_file_is_rejected_with_the_reason(text, advice):
    assert advice in parse_error(text)


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("number", ["-1", "nan", "inf", "-inf"])
def test_negative_and_non_finite_numbers_are_rejected(key, number):
    assert key in parse_error(overrides=[f"{key}={number}"])


def test_all_numeric_keys_are_covered():
    assert len(NUMBERS) > 20


values = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.text(), st.dates(), st.lists(st.integers()), st.just("adam")
)


def parse_or_error(text, overrides=()):
    try:
        return parse_recipe(text, "mine.toml", overrides)
    except RecipeError as error:
        return str(error)


@given(st.dictionaries(st.sampled_from(KEYS), values))
def test_any_settings_give_a_recipe_or_an_error(settings):
    text = 'name = "mine"\n' + "".join(f"{key} = {tomli_w.dumps({'x': value})[4:]}" for key, value in settings.items())
    result = parse_or_error(text)
    if isinstance(result, Recipe):
        assert parse_recipe(dump_recipe(result), "again") == result
    else:
        assert result.startswith("mine.toml")


@given(st.text(), st.lists(st.text()))
def test_any_text_gives_a_recipe_or_an_error(text, overrides):
    assert parse_or_error(text, overrides)
    assert parse_or_error("name = 'mine'", overrides)


@given(st.sampled_from(KEYS), st.text())
def test_any_override_gives_a_recipe_or_an_error_with_its_key(key, value):
    result = parse_or_error("name = 'mine'", [f"{key}={value}"])
    assert isinstance(result, Recipe) or key.split(".")[0] in result


@pytest.mark.parametrize(
    ("length", "message"), [({"epochs": 0}, "training.epochs is 0"), ({"minutes": 0}, "minutes is 0")]
)
def test_a_training_length_of_zero_is_an_error(length, message):
    with pytest.raises(RecipeError, match=message):
        load_with_overrides("deep", **length)


def test_a_long_override_is_shortened_in_the_message():
    assert len(parse_error(overrides=["a" * 10_000])) < 200
