"""The notebook networks."""

import pytest
import torch

from tinysight._util.errors import RecipeError
from tinysight.models.registry import build_network
from tinysight.models.summary import count_parameters
from tinysight.recipes.schema import ModelSection

PARAMETERS = {"simple": 4_200_842, "deep": 1_676_842, "strided": 202_282, "early-stopping": 225_610}
SMALLEST = {"simple": 2, "deep": 8, "strided": 12, "early-stopping": 13}


def build(name, classes, size):
    return build_network(ModelSection(architecture=name), classes, size)


def test_parameter_counts_match_the_notebooks():
    assert {name: count_parameters(build(name, 10, 32)) for name in PARAMETERS} == PARAMETERS


def test_smallest_image_size(name):
    size = SMALLEST[name]

    assert build(name, 2, size)(torch.zeros(1, 3, size, size)).shape == (1, 2)
    with pytest.raises(RecipeError, match=rf"{size - 1}x{size - 1}: too small .* Increase data\.image_size"):
        build(name, 2, size - 1)
