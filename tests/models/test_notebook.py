import pytest
import torch

from tinysight.errors import RecipeError
from tinysight.models import registry
from tinysight.models.registry import NOTEBOOK
from tinysight.models.summary import count
from tinysight.recipes.schema import Model

PARAMETERS = {"simple": 4_200_842, "deep": 1_676_842, "strided": 202_282, "early-stopping": 225_610}
SMALLEST = {"simple": 2, "deep": 8, "strided": 12, "early-stopping": 13}


def build(name, classes, size):
    return registry.build(Model(architecture=name), classes, size)


def test_each_network_has_as_many_parameters_as_in_the_notebooks():
    assert {name: count(build(name, 10, 32)) for name in NOTEBOOK} == PARAMETERS


@pytest.mark.parametrize(("classes", "size"), [(2, 16), (7, 33), (100, 40)])
def test_a_network_takes_images_of_the_size_it_was_built_for_and_returns_a_logit_a_class(name, classes, size):
    assert build(name, classes, size)(torch.zeros(3, 3, size, size)).shape == (3, classes)


def test_the_smallest_images_a_network_takes(name):
    size = SMALLEST[name]

    assert build(name, 2, size)(torch.zeros(1, 3, size, size)).shape == (1, 2)
    with pytest.raises(RecipeError, match=rf"{size - 1}x{size - 1} are too small .* raise data\.image_size"):
        build(name, 2, size - 1)


def test_the_same_seed_gives_the_same_fresh_weights_and_another_seed_others(name):
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([parameter.flatten() for parameter in build(name, 2, 16).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
