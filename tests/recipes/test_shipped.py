"""The built-in recipes; those of the notebooks have the published settings."""

import tomllib
from typing import get_args

import pytest

from tinysight.augmentation.config import Augmentation
from tinysight.models import registry
from tinysight.models.registry import build
from tinysight.models.summary import count
from tinysight.recipes import shelf
from tinysight.recipes.loading import dump, load, parse
from tinysight.recipes.schema import Model

AFFINE = {"rotation": 40, "width_shift": 0.2, "height_shift": 0.2, "zoom": 0.2, "horizontal_flip": True}

# architecture, parameters, optimizer, batch size, maximum epochs, augmentation
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


FAST = ["fast-73", "fast-85", "fast-90", "fast-94"]


def test_all_built_in_recipes_are_covered():
    assert shelf.shipped() == sorted([*NOTEBOOKS, *FAST, "fast"])


@pytest.mark.parametrize("fast_name", [*FAST, "fast"])
def test_the_fast_recipes_share_architecture_and_optimizer(fast_name):
    recipe, family = load(fast_name), load("fast")
    assert recipe.name == fast_name
    assert recipe.description
    rate = {"learning_rate": recipe.optimiser.learning_rate}  # larger for shorter training
    assert (recipe.model.architecture, recipe.optimiser) == ("fast", family.optimiser.model_copy(update=rate))
    assert recipe.model.is_open == (fast_name == "fast")
    assert parse(dump(recipe), "again") == recipe


@pytest.mark.parametrize("fast_name", FAST)
def test_a_fast_recipe_can_be_built(fast_name):
    recipe = load(fast_name)
    assert count(build(recipe.model, 10, recipe.data.image_size)) > 0


def test_a_recipe_has_the_name_of_its_file_and_a_description(name):
    recipe = load(name)
    assert recipe.name == name
    assert recipe.description


def test_the_network_is_that_of_the_notebook(name):
    recipe, (architecture, parameters, *_) = load(name), NOTEBOOKS[name]
    assert recipe.model.architecture == architecture
    assert recipe.data.image_size == 32
    assert count(build(recipe.model, 10, recipe.data.image_size)) == parameters


def test_the_optimizer_is_that_of_the_notebook(name):
    recipe, (_, _, optimiser, batch_size, epochs, _) = load(name), NOTEBOOKS[name]
    assert (recipe.optimiser.name, recipe.optimiser.learning_rate) == (optimiser, 0.001)
    assert (recipe.optimiser.rho, recipe.optimiser.epsilon) == (0.9, 1e-7)
    assert (recipe.optimiser.beta_1, recipe.optimiser.beta_2) == (0.9, 0.999)
    assert (recipe.training.batch_size, recipe.training.epochs) == (batch_size, epochs)


def test_the_augmentation_is_exactly_that_of_the_notebook(name):
    augmentation = load(name).augmentation
    assert augmentation.fill == "nearest"
    assert augmentation == Augmentation(**NOTEBOOKS[name][-1])


def test_only_the_early_stopping_recipe_stops_early(name):
    recipe = load(name)
    stopping = recipe.early_stopping
    if name == "early-stopping":
        assert (stopping.monitor, stopping.patience, stopping.min_delta) == ("val_loss", 2, 0)
    else:
        assert stopping.patience >= recipe.training.epochs


def test_the_best_weights_are_restored(name):
    assert load(name).early_stopping.restore_best


def test_the_validation_split_is_a_stratified_tenth(name):
    data = load(name).data
    assert (data.split, data.validation) == ("stratified", 0.1)


@pytest.mark.parametrize(("name", "split"), [("simple", "last-20%"), ("early-stopping", "first-10000")])
def test_the_splits_of_the_notebooks_are_available(name, split):
    assert load(name, [f"data.split={split}"]).data.split == split


def test_dump_and_parse_restore_the_recipe(name):
    recipe = load(name)
    assert parse(dump(recipe), "again") == recipe


def test_dump_writes_all_values(name):
    recipe, written = load(name), tomllib.loads(dump(load(name)))
    assert written == recipe.model_dump(exclude_none=True)
    assert {"data", "augmentation", "model", "optimiser", "training"} <= set(written)


def test_the_schema_lists_all_architectures():
    assert set(get_args(Model.model_fields["architecture"].annotation)) == {*registry.NOTEBOOK, "fast", "layers"}
