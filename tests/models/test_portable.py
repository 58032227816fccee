"""Torch modules become standard layers of the same settings; a setting without an equivalent is refused."""

import pytest
import torch
from torch import nn

from tinysight._util.errors import ModelError
from tinysight.models.layers import ByteDropout, ChannelsLastFlatten, GlobalAvgPool, GlobalMaxPool, ResidualBlock
from tinysight.models.network import Network
from tinysight.models.portable import PortableLayers, portable_layers, stateful_modules
from tinysight.recipes import layers


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.Conv2d(3, 4, 3), layers.Conv2d(channels=4, kernel=(3, 3))),
        (nn.Conv2d(3, 4, 3, padding="valid"), layers.Conv2d(channels=4, kernel=(3, 3))),
        (nn.Conv2d(3, 4, 3, padding=1), layers.Conv2d(channels=4, kernel=(3, 3), padding="same")),
        (nn.Conv2d(3, 4, (1, 5), padding=(0, 2)), layers.Conv2d(channels=4, kernel=(1, 5), padding="same")),
        (nn.Conv2d(3, 4, 4, padding="same"), layers.Conv2d(channels=4, kernel=(4, 4), padding="same")),
        (nn.Conv2d(3, 4, 2, stride=(2, 3)), layers.Conv2d(channels=4, kernel=(2, 2), stride=(2, 3))),
        (nn.Conv2d(3, 4, 2, dilation=(2, 3)), layers.Conv2d(channels=4, kernel=(2, 2), dilation=(2, 3))),
        (nn.Conv2d(4, 6, 1, groups=2, bias=False), layers.Conv2d(channels=6, kernel=(1, 1), groups=2, bias=False)),
        (nn.MaxPool2d(2), layers.Pool2d(kind="max_pooling", window=(2, 2), stride=(2, 2))),
        (nn.MaxPool2d((3, 2), (2, 1)), layers.Pool2d(kind="max_pooling", window=(3, 2), stride=(2, 1))),
        (nn.BatchNorm2d(4, eps=0.1), layers.BatchNorm(epsilon=0.1)),
        (nn.Linear(3, 5), layers.Dense(outputs=5)),
        (nn.Linear(3, 5, bias=False), layers.Dense(outputs=5, bias=False)),
        (ByteDropout(0.25), layers.Dropout(rate=0.25)),
        (nn.ReLU(), layers.Activation(function="relu")),
        (nn.SiLU(), layers.Activation(function="silu")),
        (ChannelsLastFlatten(), layers.Flatten()),
        (GlobalMaxPool(), layers.GlobalPool2d(kind="global_max_pooling")),
        (GlobalAvgPool(), layers.GlobalPool2d(kind="global_average_pooling")),
    ],
    ids=str,
)
def test_module_becomes_the_standard_layer_with_its_state(module, expected):
    portable = portable_layers(module)
    assert portable.specs == [expected]
    state = module.state_dict()
    assert [set(part) for part in portable.states] == ([set(state)] if state else [])
    for part in portable.states:
        assert all(torch.equal(part[name], state[name]) for name in state)


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(3, 4, 3, padding=2),
        nn.Conv2d(3, 4, 3, padding=1, dilation=2),
        nn.Conv2d(3, 4, 3, padding=(1, 0)),
        nn.Conv2d(3, 4, 3, padding_mode="circular"),
        nn.MaxPool2d(2, dilation=2),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.BatchNorm2d(3, track_running_stats=False),
        nn.GELU(),
        nn.Flatten(),  # channels first, unlike the standard layer
    ],
    ids=str,
)
def test_module_without_an_equivalent_is_refused_with_its_settings(module):
    with pytest.raises(ModelError) as caught:
        portable_layers(nn.Sequential(nn.ReLU(), module))
    assert str(caught.value) == f"{module}: has no equivalent standard layer. Export to onnx, or use other layers."


def test_network_is_its_body_and_then_its_head():
    network = Network(nn.Sequential(GlobalMaxPool(), nn.Linear(3, 4)), nn.Sequential(nn.ReLU(), nn.Linear(4, 2)))
    portable = portable_layers(network)
    assert [spec.kind for spec in portable.specs] == ["global_max_pooling", "dense", "activation", "dense"]
    assert [tuple(state["weight"].shape) for state in portable.states] == [(4, 3), (2, 4)]
    assert [tuple(module.weight.shape) for module in stateful_modules(network)] == [(4, 3), (2, 4)]


def test_residual_block_has_the_states_of_its_shortcut_last():
    block = ResidualBlock(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), nn.Sequential(nn.Conv2d(3, 4, 1, bias=False)))
    portable = portable_layers(block)
    assert portable.specs == [
        layers.Residual(
            layers=[layers.Conv2d(channels=4, kernel=(1, 1)), layers.Activation(function="relu")],
            shortcut=[layers.Conv2d(channels=4, kernel=(1, 1), bias=False)],
        )
    ]
    assert [set(state) for state in portable.states] == [{"weight", "bias"}, {"weight"}]


def test_nested_residual_blocks_are_refused():
    inner = ResidualBlock(nn.Sequential(nn.ReLU()))
    with pytest.raises(ModelError, match=r"has no equivalent standard layer\. Export to onnx, or use other layers\."):
        portable_layers(ResidualBlock(nn.Sequential(inner)))


def test_joined_parts_keep_their_order_and_no_parts_give_no_layers():
    first, second = portable_layers(nn.Linear(2, 3)), portable_layers(nn.Linear(3, 4))
    joined = PortableLayers.join([first, PortableLayers(), second])
    assert [spec.outputs for spec in joined.specs] == [3, 4]
    assert [state["weight"].shape[0] for state in joined.states] == [3, 4]
    assert PortableLayers.join([]) == PortableLayers()
