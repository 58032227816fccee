"""Networks with branches, compared with the same computation in plain torch and NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from tinysight._util.errors import RecipeError
from tinysight.models.families.sequential import build_sequential
from tinysight.models.layers import ChannelAffine, ChannelsLastReshape, LayerGraph, Merge
from tinysight.recipes import layers

OPERATIONS = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "average": lambda a, b: (a + b) / 2,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 1, 1), (2, 1, 4, 5), (2, 3)])
def test_merged_images_are_those_of_numpy_on_channels_last_arrays(kind, shape):
    first, second = torch.randn(2, 3, 4, 5), torch.randn(shape)
    other = second.numpy()
    other = other.transpose(0, 2, 3, 1) if other.ndim == 4 else other[:, None, None]
    expected = OPERATIONS[kind](first.numpy().transpose(0, 2, 3, 1), other).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(Merge(kind)(first, second), expected, rtol=1e-6)


def test_concatenation_is_along_the_channels():
    parts = [torch.randn(2, channels, 4, 5) for channels in (3, 1, 2)]
    np.testing.assert_array_equal(Merge("concatenate")(*parts), np.concatenate([part.numpy() for part in parts], 1))


def test_average_divides_by_the_number_of_inputs():
    values = torch.arange(5.0).view(5, 1, 1)
    assert Merge("average")(*values).item() == 2


def test_reshape_has_the_order_of_keras():
    images, features = torch.randn(2, 6, 2, 3), torch.randn(2, 36)
    expected = images.numpy().transpose(0, 2, 3, 1).reshape(2, 3, 4, 3).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(ChannelsLastReshape(3, 4, 3)(images), expected)
    expected = features.numpy().reshape(2, 3, 4, 3).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(ChannelsLastReshape(3, 4, 3)(features), expected)


def test_one_scale_and_offset_apply_to_features():
    features = torch.randn(2, 5)
    assert torch.equal(ChannelAffine(2.0, 1.0)(features), features * 2 + 1)


def test_graph_runs_each_layer_once_on_its_inputs_and_forgets_results():
    double, square, total = nn.Module(), nn.Module(), Merge("add")
    calls = []
    double.forward = lambda x: calls.append("double") or 2 * x
    square.forward = lambda x: calls.append("square") or x**2
    graph = LayerGraph([double, square, total], [[0], [1], [0, 1, 2, 2]])
    assert graph(torch.tensor(3.0)).item() == 3 + 6 + 36 + 36
    assert graph(torch.tensor(1.0)).item() == 1 + 2 + 4 + 4
    assert calls == ["double", "square"] * 2


def graph(*nodes):
    return layers.Graph(nodes=[{"name": name, "inputs": inputs, "layer": layer} for name, inputs, layer in nodes])


POOL, DENSE = layers.GlobalPool2d(kind="global_average_pooling"), layers.Dense(outputs=4)
CONV = {"kind": "convolution", "channels": 4, "kernel": (3, 3)}


def test_dense_layer_before_flattening_is_applied_to_each_position():
    network = build_sequential([DENSE, layers.Flatten()], 4 * 25, 5)
    (dense,) = (module for module in network.modules() if list(module.parameters(recurse=False)))
    images = torch.randn(2, 3, 5, 5)
    kernel, bias = dense.weight.detach().numpy().reshape(4, 3), dense.bias.detach().numpy()
    expected = (images.numpy().transpose(0, 2, 3, 1) @ kernel.T + bias).reshape(2, -1)
    np.testing.assert_allclose(network(images).detach(), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            [("conv", ["input"], CONV), ("sum", ["conv", "input"], {"kind": "add"})],
            r"Layer 1 \(graph\): Node sum \(add\): cannot take 4 channels of 6x6 and 3 channels of 8x8. Their",
        ),
        (
            [("conv", ["input"], CONV), ("all", ["conv", "input"], {"kind": "concatenate"})],
            r"Node all \(concatenate\): cannot take .* They differ in more than their channels\.",
        ),
        (
            [("flat", ["input"], {"kind": "flatten"}), ("all", ["flat", "input"], {"kind": "concatenate"})],
            "cannot take 192 features and 3 channels of 8x8. They differ",
        ),
        ([("big", ["input"], CONV | {"kernel": (9, 9)})], r"Node big \(convolution\): cannot take 3 channels of 8x8"),
        ([("shape", ["input"], {"kind": "reshape", "shape": (5, 5, -1)})], "192 values, which do not fit the shape"),
    ],
)
def test_node_that_does_not_fit_its_inputs_is_refused_with_its_name(nodes, message):
    with pytest.raises(RecipeError, match=message):
        build_sequential([graph(*nodes), POOL, DENSE], 4, 8)


def test_scales_of_channels_do_not_apply_to_features():
    with pytest.raises(RecipeError, match="Features take one scale and one offset"):
        build_sequential([layers.Flatten(), layers.Rescaling(scale=(1, 2, 3)), DENSE], 4, 8)
