"""The built-in recipes; those of the notebooks have the published settings."""

import tomllib

import pytest

from tinysight.augmentation.config import Augmentation
from tinysight.models.registry import build_network
from tinysight.models.summary import count_parameters
from tinysight.recipes import catalog
from tinysight.recipes.loading import dump_recipe, load_recipe, parse_recipe

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
    assert catalog.list_recipes() == sorted([*NOTEBOOKS, *FAST, "fast", "resnet-9", "probe", "finetune", "auto"])


@pytest.mark.parametrize("fast_name", [*FAST, "fast"])
def test_the_fast_recipes_share_architecture_and_optimizer(fast_name):
    recipe, family = load_recipe(fast_name), load_recipe("fast")
    assert recipe.name == fast_name
    assert recipe.description
    rate = {"learning_rate": recipe.optimizer.learning_rate}  # larger for shorter training
    assert (recipe.model.architecture, recipe.optimizer) == ("fast", family.optimizer.model_copy(update=rate))
    assert recipe.model.needs_time_budget == (fast_name == "fast")
    assert parse_recipe(dump_recipe(recipe), "again") == recipe


@pytest.mark.parametrize("fast_name", FAST)
def test_a_fast_recipe_can_be_built(fast_name):
    recipe = load_recipe(fast_name)
    assert count_parameters(build_network(recipe.model, 10, recipe.data.image_size)) > 0


def test_the_residual_recipe_has_the_published_network():
    recipe = load_recipe("resnet-9")
    assert (recipe.name, recipe.model.architecture, recipe.model.channels) == ("resnet-9", "resnet-9", None)
    assert count_parameters(build_network(recipe.model, 10, recipe.data.image_size)) == 6_573_130
    assert parse_recipe(dump_recipe(recipe), "again") == recipe


def test_a_recipe_has_the_name_of_its_file_and_a_description(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description


def test_the_network_is_that_of_the_notebook(name):
    recipe, (architecture, parameters, *_) = load_recipe(name), NOTEBOOKS[name]
    assert recipe.model.architecture == architecture
    assert recipe.data.image_size == 32
    assert count_parameters(build_network(recipe.model, 10, recipe.data.image_size)) == parameters


def test_the_optimizer_is_that_of_the_notebook(name):
    recipe, (_, _, optimizer, batch_size, epochs, _) = load_recipe(name), NOTEBOOKS[name]
    assert (recipe.optimizer.name, recipe.optimizer.learning_rate) == (optimizer, 0.001)
    assert (recipe.optimizer.rho, recipe.optimizer.epsilon) == (0.9, 1e-7)
    assert (recipe.optimizer.beta_1, recipe.optimizer.beta_2) == (0.9, 0.999)
    assert (recipe.training.batch_size, recipe.training.epochs) == (batch_size, epochs)


def test_the_augmentation_is_exactly_that_of_the_notebook(name):
    augmentation = load_recipe(name).augmentation
    assert augmentation.fill_mode == "nearest"
    assert augmentation == Augmentation(**NOTEBOOKS[name][-1])


def test_only_the_early_stopping_recipe_stops_early(name):
    recipe = load_recipe(name)
    stopping = recipe.early_stopping
    if name == "early-stopping":
        assert (stopping.monitor, stopping.patience, stopping.min_delta) == ("val_loss", 2, 0)
    else:
        assert stopping.patience >= recipe.training.epochs


def test_the_best_weights_are_restored(name):
    assert load_recipe(name).early_stopping.restore_best_weights


def test_the_validation_split_is_a_stratified_tenth(name):
    data = load_recipe(name).data
    assert (data.split, data.validation_fraction) == ("stratified", 0.1)


@pytest.mark.parametrize(("name", "split"), [("simple", "last-20%"), ("early-stopping", "first-10000")])
def test_the_splits_of_the_notebooks_are_available(name, split):
    assert load_recipe(name, [f"data.split={split}"]).data.split == split


def test_dump_and_parse_restore_the_recipe(name):
    recipe = load_recipe(name)
    assert parse_recipe(dump_recipe(recipe), "again") == recipe


def test_dump_writes_all_values(name):
    recipe, written = load_recipe(name), tomllib.loads(dump_recipe(load_recipe(name)))
    assert written == recipe.model_dump(exclude_none=True)
    assert {"data", "augmentation", "model", "optimizer", "training"} <= set(written)
