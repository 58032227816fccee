"""The registry names every family once and refuses what it cannot build with the whole sentence."""

import pytest
from torch import nn

from tinysight._util.errors import RecipeError
from tinysight.models.registry import FAMILIES, build_network, family_of, supports_image_size
from tinysight.recipes.schema import ModelSection


def test_families_are_registered_under_their_own_names():
    assert set(FAMILIES) == {
        "simple",
        "deep",
        "strided",
        "early-stopping",
        "fast",
        "resnet-9",
        "efficientnet-lite0",
        "efficientnet-b0",
        "mobilenet-v3",
        "vit-tiny",
        "onnx",
        "layers",
    }
    assert all(family.name == name for name, family in FAMILIES.items())
    assert {name for name, family in FAMILIES.items() if family.has_channels} == {"fast", "resnet-9"}


@pytest.mark.parametrize(
    ("model", "network", "sentence"),
    [
        (
            {"architecture": "vgg"},
            None,
            "model.architecture: 'vgg' is not a network family. Known: simple, deep, strided, early-stopping, "
            "efficientnet-lite0, efficientnet-b0, fast, mobilenet-v3, onnx, resnet-9, layers, vit-tiny, custom.",
        ),
        (
            {"architecture": "costum"},
            None,
            "model.architecture: 'costum' is not a network family. Did you mean 'custom'?",
        ),
        (
            {"architecture": "deep"},
            nn.Linear,
            "model.architecture: it is deep, but network is given. Use custom, or omit network.",
        ),
        (
            {"architecture": "deep", "channels": [8]},
            None,
            "model.channels: the widths of architecture deep are fixed. Remove it.",
        ),
        (
            {"architecture": "fast"},
            None,
            "Recipe: it does not fix the width of the network. Set a time budget in minutes, or model.stem_stride and "
            "model.channels.",
        ),
        (
            {"architecture": "custom"},
            None,
            "model.architecture custom: the network is built by your own code. Pass network=factory, a function of "
            "(num_classes, image_size).",
        ),
    ],
)
def test_network_that_cannot_be_built_is_refused_with_the_sentence(model, network, sentence):
    with pytest.raises(RecipeError) as caught:
        build_network(ModelSection(**model), 3, 32, network)
    assert str(caught.value) == sentence


def test_factory_gets_the_number_of_classes_and_the_image_size():
    custom = ModelSection(architecture="custom")
    network = build_network(custom, 3, 16, lambda classes, size: nn.Linear(size, classes))
    assert (network.in_features, network.out_features) == (16, 3)
    assert family_of(custom).name == "custom"


@pytest.mark.parametrize(
    ("architecture", "smallest"),
    [("simple", 2), ("deep", 8), ("strided", 12), ("early-stopping", 13), ("resnet-9", 16)],
)
def test_smallest_supported_image_is_that_computed_by_hand(architecture, smallest):
    model = ModelSection(architecture=architecture)
    assert [supports_image_size(model, size) for size in (smallest - 1, smallest)] == [False, True]
