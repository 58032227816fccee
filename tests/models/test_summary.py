"""The layer table lists layers in order of computation, with shapes and parameters counted by hand."""

import pytest
import torch
from torch import nn

from tinysight.models.layers import ByteDropout, ChannelsLastFlatten, ResidualBlock
from tinysight.models.summary import LayerRow, count_parameters, layer_table


@pytest.fixture
def network():
    block = ResidualBlock(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False)))
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), block, ByteDropout(0.5), ChannelsLastFlatten()]
    return nn.Sequential(*layers, nn.Linear(36, 2))


def test_table_of_a_network_equals_the_one_written_by_hand(network):
    assert layer_table(network, 8) == [
        LayerRow("Conv2D", "(n, 6, 6, 4)", 3 * 4 * 9 + 4),
        LayerRow("Activation (relu)", "(n, 6, 6, 4)", 0),
        LayerRow("MaxPooling2D", "(n, 3, 3, 4)", 0),
        LayerRow("Conv2D", "(n, 3, 3, 4)", 4 * 4 * 9),
        LayerRow("Add", "(n, 3, 3, 4)", 0),
        LayerRow("Dropout", "(n, 3, 3, 4)", 0),
        LayerRow("Flatten", "(n, 36)", 0),
        LayerRow("Dense", "(n, 2)", 36 * 2 + 2),
        LayerRow("Activation (softmax)", "(n, 2)", 0),
    ]


def test_frozen_parameters_are_not_counted(network):
    total = count_parameters(network)
    network[0].requires_grad_(False)
    assert count_parameters(network) == total - 112
    assert layer_table(network, 8)[0].parameters == 0
    assert count_parameters(network, recurse=False) == 0


@pytest.mark.parametrize("training", [True, False])
def test_table_leaves_the_mode_the_statistics_and_the_hooks_of_the_network_unchanged(training):
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 2)).train(training)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first, second = layer_table(network, 4), layer_table(network, 4)
    assert first == second
    assert network.training is training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


class Scaled(nn.Module):
    """A layer with a weight of its own and a child."""

    def __init__(self):
        super().__init__()
        self.scale, self.inner = nn.Parameter(torch.ones(3)), nn.Linear(3, 2)

    def forward(self, features):
        return self.inner(features * self.scale)


def test_module_with_children_is_a_row_only_if_it_has_parameters_of_its_own():
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), Scaled())
    rows = [(row.layer, row.parameters) for row in layer_table(network, 4)]
    assert rows == [("AdaptiveAvgPool2d", 0), ("Flatten", 0), ("Dense", 8), ("Scaled", 3), ("Activation (softmax)", 0)]


def test_layer_that_runs_twice_has_two_rows():
    layer = nn.Conv2d(3, 3, 1)
    rows = layer_table(nn.Sequential(layer, layer, nn.Flatten(), nn.Linear(12, 2)), 2)
    assert [row.layer for row in rows] == ["Conv2D", "Conv2D", "Flatten", "Dense", "Activation (softmax)"]
