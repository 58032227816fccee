"""A recipe is taken from text and overrides exactly, or refused in one sentence that says what to write instead."""

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from tinysight.errors import RecipeError
from tinysight.recipes.loading import dump, load, parse
from tinysight.recipes.schema import SECTIONS, Recipe

KEYS = [f"{name}.{key}" for name, section in SECTIONS.items() for key in section.model_fields]
NUMBERS = [
    f"{name}.{key}"
    for name, section in SECTIONS.items()
    for key, field in section.model_fields.items()
    if field.annotation in (int, float)
]


def refusal(text="name = 'mine'", overrides=()):
    """Return the one sentence that a recipe is refused with."""
    with pytest.raises(RecipeError) as caught:
        parse(text, "mine.toml", overrides)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    return str(caught.value)


def test_what_is_not_said_has_its_default():
    assert parse("name = 'mine'", "mine.toml") == Recipe(name="mine")


def test_overrides_come_last_and_the_last_one_wins():
    recipe = load("early-stopping", ["training.epochs=3", "training.epochs=5", "early_stopping.patience=7"])
    assert (recipe.training.epochs, recipe.early_stopping.patience) == (5, 7)
    assert recipe.early_stopping.monitor == "val_loss"


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("optimiser.name=adam", "adam"),
        ('optimiser.name="adam"', "adam"),
        (" optimiser.name = 'adam' # as in the notebook", "adam"),
    ],
)
def test_words_are_taken_with_and_without_quotes(override, found):
    assert load("simple", [override]).optimiser.name == found


def test_numbers_and_truth_are_written_as_in_toml():
    recipe = load("simple", ["augmentation.rotation=15", "augmentation.horizontal_flip=true", "optimiser.epsilon=1e-3"])
    assert (recipe.augmentation.rotation, recipe.augmentation.horizontal_flip) == (15, True)
    assert recipe.optimiser.epsilon == 0.001


def test_an_override_can_open_a_section():
    assert load("simple", ["early_stopping.monitor=val_accuracy"]).early_stopping.monitor == "val_accuracy"


@pytest.mark.parametrize(
    ("override", "advice"),
    [
        ("training.epoch=5", "there is no key 'training.epoch'. Did you mean 'epochs'?"),
        ("epochs=5", "there is no key 'epochs'. Did you mean 'training.epochs'?"),
        ("training.learning_rate=1", "Did you mean 'optimiser.learning_rate'?"),
        ("optimizer.name=adam", "there is no key 'optimizer'. Did you mean 'optimiser'?"),
        ("training.colour=1", "Known: epochs, minutes, batch_size,"),
        ("model.architecture=depe", "model.architecture cannot be 'depe'. Did you mean 'deep'?"),
        ("model.architecture=resnet", "Known: simple, deep, strided, early-stopping, fast, layers."),
        ("data.split=random", "Known: stratified, last-20%, first-10000."),
        ("optimiser.name=sgd", "optimiser.name cannot be 'sgd'. Known: rmsprop, adam, muon."),
        ("training.epochs=0", "training.epochs is 0: it should be greater than or equal to 1."),
        ("training.epochs=100001", "training.epochs is 100001: it should be less than or equal to 100000."),
        ("training.batch_size=1000001", "it should be less than or equal to 1000000."),
        ("augmentation.cutout=513", "augmentation.cutout is 513: it should be less than or equal to 512."),
        ('model={stem="fine", widths=[16]}', "stem and widths are for architecture fast, not simple; leave them out"),
        ("training.epochs=many", "training.epochs is 'many': it should be a valid integer."),
        ("training.epochs=2.5", "it should be a valid integer"),
        ("training.epochs=true", "it should be a valid integer"),
        ("training.epochs='3'", "it should be a valid integer"),
        ("optimiser.learning_rate=true", "it should be a valid number"),
        ("augmentation.horizontal_flip=1", "it should be a valid boolean"),
        ("augmentation.fill_value=9", 'augmentation: fill_value is only used with fill = "constant"'),
        ("name=Mine", "name is 'Mine'; use lower-case letters, digits, dots and dashes."),
        ("name=", "name is '': it should have at least 1 character."),
        (f"training.epochs={'9' * 5000}", "it should be a valid integer"),
        (f"training.epochs={'[' * 5000}", "it should be a valid integer"),
        ("training=5", "training is a section of the recipe, not the value 5; set one of its keys."),
        ("early_stopping=true", "early_stopping is a section of the recipe"),
        ("name.first=a", "--set name.first=a: name is a value, not a section of the recipe."),
        ("training.epochs", "--set training.epochs: write it as section.key=value, for example training.epochs=5."),
        ("=5", "write it as section.key=value"),
        ("training.=5", "write it as section.key=value"),
        ("", "write it as section.key=value"),
    ],
)
def test_a_wrong_override_is_answered_with_what_to_write(override, advice):
    assert advice in refusal(overrides=[override])


def test_an_override_sets_one_key_and_no_more():
    assert "learning_rate" in refusal(overrides=["optimiser.learning_rate=1\nother = 2"])


@pytest.mark.parametrize("size", [8, 32, 512])
def test_a_border_that_the_image_is_too_small_for_is_refused_with_the_largest_that_fits(size):
    assert refusal(overrides=[f"augmentation.crop_padding={size}", f"data.image_size={size}"]) == (
        f"mine.toml: augmentation.crop_padding is {size}, but it must be smaller than data.image_size, "
        f"which is {size}; choose at most {size - 1}."
    )


def test_a_border_smaller_than_the_image_is_taken():
    assert load("simple", ["augmentation.crop_padding=31"]).augmentation.crop_padding == 31
    assert load("simple", ["data.image_size=64", "augmentation.crop_padding=63"]).augmentation.crop_padding == 63


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("name = ", "mine.toml is not valid TOML: Invalid value (at end of document)."),
        ("description = 'no name'", "mine.toml: name is missing."),
        ("name = 'a'\n[trainning]\nepochs = 3", "there is no key 'trainning'. Did you mean 'training'?"),
        ("name = 'a'\n[training]\nepochs = 'x'\nbatch_size = 0", "(1 more like it.)"),
        ("name = 'a'\ntraining = [1, 2]", "training is a section of the recipe, not the value [1, 2]"),
        ("name = 1999-12-31", "it should be a valid string"),
        (f"name = '{'A' * 9000}'", "name is 'AAAA"),
        (f"name = 'a'\n{'k' * 9000} = 1", "there is no key 'kkkk"),
        (f"name = {'9' * 5000}", "a number too long"),
        (f"name = {'[' * 5000}", "brackets too deep"),
        (f"name = 'a'\ntraining.epochs{'.a' * 500} = 1", "training.epochs is {"),
        ("\0", "mine.toml is not valid TOML"),
    ],
)
def test_a_wrong_text_is_answered_with_what_is_wrong(text, advice):
    assert advice in refusal(text)


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("number", ["-1", "nan", "inf", "-inf"])
def test_no_number_of_a_recipe_may_be_negative_or_none(key, number):
    assert key in refusal(overrides=[f"{key}={number}"])


def test_that_holds_for_every_number_there_is():
    assert len(NUMBERS) > 20


values = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.text(), st.dates(), st.lists(st.integers()), st.just("adam")
)


def recipe_or_refusal(text, overrides=()):
    try:
        return parse(text, "mine.toml", overrides)
    except RecipeError as error:
        return str(error)


@given(st.dictionaries(st.sampled_from(KEYS), values))
def test_whatever_a_recipe_holds_it_is_a_recipe_or_refused(settings):
    text = 'name = "mine"\n' + "".join(f"{key} = {tomli_w.dumps({'x': value})[4:]}" for key, value in settings.items())
    found = recipe_or_refusal(text)
    if isinstance(found, Recipe):
        assert parse(dump(found), "again") == found
    else:
        assert found.startswith("mine.toml")


@given(st.text(), st.lists(st.text()))
def test_whatever_the_text_it_is_a_recipe_or_refused(text, overrides):
    assert recipe_or_refusal(text, overrides)
    assert recipe_or_refusal("name = 'mine'", overrides)


@given(st.sampled_from(KEYS), st.text())
def test_whatever_is_set_it_is_a_recipe_or_refused_by_its_key(key, value):
    found = recipe_or_refusal("name = 'mine'", [f"{key}={value}"])
    assert isinstance(found, Recipe) or key.split(".")[0] in found
