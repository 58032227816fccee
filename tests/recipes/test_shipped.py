"""Every shipped recipe is usable, and together they are what the five notebooks do (settings as published there)."""

import tomllib
from typing import get_args

import pytest

from tinysight.models import registry
from tinysight.models.registry import build
from tinysight.models.summary import count
from tinysight.recipes import shelf
from tinysight.recipes.loading import dump, load, parse
from tinysight.recipes.schema import Model

AFFINE = {"rotation": 40, "width_shift": 0.2, "height_shift": 0.2, "zoom": 0.2, "horizontal_flip": True}

# network, its parameters, optimiser, batch, most epochs, augmentation
NOTEBOOKS = {
    "simple": ("simple", 4_200_842, "rmsprop", 128, 20, {}),
    "deep": ("deep", 1_676_842, "rmsprop", 128, 20, {}),
    "deep-augmented": ("deep", 1_676_842, "rmsprop", 128, 25, AFFINE),
    "strided": ("strided", 202_282, "rmsprop", 128, 20, {}),
    "strided-augmented": ("strided", 202_282, "rmsprop", 128, 20, AFFINE),
    "strided-augmented-shear": ("strided", 202_282, "rmsprop", 128, 20, AFFINE | {"shear": 0.2}),
    "early-stopping": ("early-stopping", 225_610, "adam", 32, 25, {}),
}


@pytest.fixture(params=NOTEBOOKS)
def name(request):
    return request.param


LADDER = ["fast-73", "fast-85", "fast-90", "fast-94"]


def test_every_recipe_that_is_shipped_is_tested_here():
    assert shelf.shipped() == sorted([*NOTEBOOKS, *LADDER, "fast"])


@pytest.mark.parametrize("rung", [*LADDER, "fast"])
def test_the_fast_recipes_are_one_family_with_one_optimiser(rung):
    recipe, family = load(rung), load("fast")
    assert recipe.name == rung
    assert recipe.description
    rate = {"learning_rate": recipe.optimiser.learning_rate}  # the shorter the training, the larger
    assert (recipe.model.architecture, recipe.optimiser) == ("fast", family.optimiser.model_copy(update=rate))
    assert recipe.model.is_open == (rung == "fast")
    assert parse(dump(recipe), "again") == recipe


@pytest.mark.parametrize("rung", LADDER)
def test_a_rung_of_the_ladder_can_be_built(rung):
    recipe = load(rung)
    assert count(build(recipe.model, 10, recipe.data.image_size)) > 0


def test_a_recipe_is_called_like_its_file_and_says_what_it_is(name):
    recipe = load(name)
    assert recipe.name == name
    assert recipe.description


def test_it_has_the_network_of_its_notebook(name):
    recipe, (architecture, parameters, *_) = load(name), NOTEBOOKS[name]
    assert recipe.model.architecture == architecture
    assert recipe.data.image_size == 32
    assert count(build(recipe.model, 10, recipe.data.image_size)) == parameters


def test_it_is_optimised_as_in_its_notebook(name):
    recipe, (_, _, optimiser, batch_size, epochs, _) = load(name), NOTEBOOKS[name]
    assert (recipe.optimiser.name, recipe.optimiser.learning_rate) == (optimiser, 0.001)
    assert (recipe.optimiser.rho, recipe.optimiser.epsilon) == (0.9, 1e-7)
    assert (recipe.optimiser.beta_1, recipe.optimiser.beta_2) == (0.9, 0.999)
    assert (recipe.training.batch_size, recipe.training.epochs) == (batch_size, epochs)


def test_it_augments_as_in_its_notebook_and_not_otherwise(name):
    augmentation = load(name).augmentation
    assert augmentation.fill == "nearest"
    switched_on = {key: value for key, value in augmentation.model_dump(exclude={"fill"}).items() if value}
    assert switched_on == NOTEBOOKS[name][-1]


def test_only_early_stopping_stops_early_and_as_in_its_notebook(name):
    recipe = load(name)
    stopping = recipe.early_stopping
    if name == "early-stopping":
        assert (stopping.monitor, stopping.patience, stopping.min_delta) == ("val_loss", 2, 0)
    else:
        assert stopping.patience >= recipe.training.epochs


def test_it_ends_with_the_weights_of_its_best_epoch_where_its_notebook_kept_the_last(name):
    assert load(name).early_stopping.restore_best


def test_it_holds_back_a_stratified_tenth_where_the_notebooks_had_none_or_an_unshuffled_end(name):
    data = load(name).data
    assert (data.split, data.validation) == ("stratified", 0.1)


@pytest.mark.parametrize(("name", "split"), [("simple", "last-20%"), ("early-stopping", "first-10000")])
def test_the_notebooks_own_splits_are_there_by_name(name, split):
    assert load(name, [f"data.split={split}"]).data.split == split


def test_written_out_with_all_its_values_it_is_the_same_recipe(name):
    recipe = load(name)
    assert parse(dump(recipe), "again") == recipe


def test_written_out_it_leaves_nothing_to_the_defaults(name):
    recipe, written = load(name), tomllib.loads(dump(load(name)))
    assert written == recipe.model_dump(exclude_none=True)
    assert {"data", "augmentation", "model", "optimiser", "training"} <= set(written)


def test_recipes_know_every_network_there_is():
    assert set(get_args(Model.model_fields["architecture"].annotation)) == {*registry.NOTEBOOK, "fast", "layers"}
