import pytest
import torch

from tinysight._util.errors import RecipeError
from tinysight.models import registry
from tinysight.models.registry import CNN_BUILDERS
from tinysight.models.summary import count_parameters
from tinysight.recipes.schema import ModelSection

PARAMETERS = {"simple": 4_200_842, "deep": 1_676_842, "strided": 202_282, "early-stopping": 225_610}
SMALLEST = {"simple": 2, "deep": 8, "strided": 12, "early-stopping": 13}


def build(name, classes, size):
    return registry.build_network(ModelSection(architecture=name), classes, size)


def test_parameter_counts_match_the_notebooks():
    assert {name: count_parameters(build(name, 10, 32)) for name in CNN_BUILDERS} == PARAMETERS


@pytest.mark.parametrize(("classes", "size"), [(2, 16), (7, 33), (100, 40)])
def test_output_has_one_logit_per_class(name, classes, size):
    assert build(name, classes, size)(torch.zeros(3, 3, size, size)).shape == (3, classes)


def test_smallest_image_size(name):
    size = SMALLEST[name]

    assert build(name, 2, size)(torch.zeros(1, 3, size, size)).shape == (1, 2)
    with pytest.raises(RecipeError, match=rf"{size - 1}x{size - 1}: too small .* Increase data\.image_size"):
        build(name, 2, size - 1)


def test_initial_weights_depend_on_the_seed_only(name):
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([parameter.flatten() for parameter in build(name, 2, 16).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
