"""Every network family fulfills the interface; a new family is checked as soon as it is registered."""

import pytest
import torch

from tinysight._util.errors import ModelError, RecipeError
from tinysight.models.families.sequential import build_sequential
from tinysight.models.family import CustomFamily
from tinysight.models.fusion import fused
from tinysight.models.network import Network, embed, logits_and_embedding
from tinysight.models.portable import portable_layers, stateful_modules
from tinysight.models.registry import FAMILIES, build_network, family_of, supports_image_size
from tinysight.recipes.schema import ModelSection


def check_family(family, model):
    """Check all methods of a family. `model` maps a number of classes to a configuration."""
    for classes, size in [(2, 16), (7, 33), (100, 40)]:
        check_network(family, model(classes), classes, size)
    check_seed(family, model(2))
    check_image_sizes(family, model(2))
    check_initialization(family, model(2))
    check_portable(family, model(10))
    check_fused(family, model(10))
    check_meta_device(family, model(10))


def network_of(family, model, classes, size, seed=0):
    """Build and initialize a network whose batch normalization has seen data."""
    torch.manual_seed(seed)
    network = family.build(model, classes, size)
    family.initialize(network, size, lambda count: torch.randn(min(count, 64), 3, size, size))
    network.train()(torch.randn(8, 3, size, size))
    return network.eval()


def check_network(family, model, classes, size):
    """Logits and embedding have their shapes, and the embedding is the input of the last linear layer."""
    network, images = network_of(family, model, classes, size), torch.randn(3, 3, size, size)
    with torch.no_grad():
        features, logits = network.features(images), network(images)
        assert logits.shape == (3, classes)
        assert features.shape[0] == 3
        assert features.dim() == 2
        assert torch.equal(features, input_of_last_linear(network, images))
        assert all(map(torch.equal, logits_and_embedding(network, images), (logits, features)))
        torch.testing.assert_close(network.features(images[:1]), features[:1], atol=1e-5, rtol=1e-4)
    network.train()(images).square().sum().backward()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert trained
    assert all(parameter.grad is not None for parameter in trained)


def input_of_last_linear(network, images):
    inputs = []
    for layer in network.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_hook(lambda _, values, __: inputs.append(values[0]))
    network(images)
    return inputs[-1]


def check_seed(family, model):
    """Initial weights depend on torch's global generator only."""

    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([weight.flatten() for weight in family.build(model, 2, 16).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def check_image_sizes(family, model):
    """`supports` says what `build` accepts: all sizes from some smallest one on, at which the network runs."""
    sizes = range(1, 33)
    supported = [family.supports(model, size) for size in sizes]
    smallest = supported.index(True) + 1
    assert all(supported[smallest - 1 :])
    assert family.build(model, 2, smallest).eval()(torch.zeros(2, 3, smallest, smallest)).shape == (2, 2)
    if smallest > 1:
        with pytest.raises(RecipeError):
            family.build(model, 2, smallest - 1)


def check_initialization(family, model):
    """Data-dependent initialization is a function of the images, and keeps names, shapes and types."""

    def state(seed):
        torch.manual_seed(0)
        network = family.build(model, 2, 16)
        before = {name: (tensor.shape, tensor.dtype) for name, tensor in network.state_dict().items()}
        images = torch.randn(2000, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
        assert family.initialize(network, 16, lambda count: images[:count]) is None
        after = network.state_dict()
        assert {name: (tensor.shape, tensor.dtype) for name, tensor in after.items()} == before
        return after

    first, again = state(1), state(1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(tensor.isfinite().all() for tensor in first.values())


def check_portable(family, model):
    """The network of standard layers has the same logits, or is refused."""
    network = network_of(family, model, 10, 32)
    if not family.has_standard_layers:
        with pytest.raises(ModelError, match="no equivalent among the standard layers"):
            family.to_portable(model, network)
        return
    portable = family.to_portable(model, network)
    standard = build_sequential(portable.specs, 10, 32).eval()
    for module, state in zip(stateful_modules(standard), portable.states, strict=True):
        module.load_state_dict(state)
    images = torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(standard(images), network(images), atol=1e-4, rtol=1e-4)


def check_fused(family, model):
    """The network with fused batch normalization has the same logits."""
    network, images = network_of(family, model, 10, 32), torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(fused(network)(images), network(images), atol=1e-3, rtol=1e-3)


def check_meta_device(family, model):
    """A network built without memory gets its weights by assignment, as when a run is opened."""
    network, images = network_of(family, model, 10, 32), torch.rand(2, 3, 32, 32)
    with torch.device("meta"):
        empty = family.build(model, 10, 32)
    empty.load_state_dict(network.state_dict(), assign=True)
    with torch.no_grad():
        assert torch.equal(empty.eval()(images), network(images))


def test_every_registered_family_fulfills_the_interface(family_model):
    model = family_model(2)
    family = FAMILIES[model.architecture]
    assert family.name == model.architecture
    assert family_of(model) is family
    check_family(family, family_model)


def test_channels_of_a_family_with_fixed_widths_are_rejected():
    with pytest.raises(RecipeError, match=r"model\.channels: the widths of architecture simple are fixed\. Remove it"):
        build_network(ModelSection(channels=[16]), 2, 32)


class Plain(torch.nn.Module):
    """A user's network without a method `features`."""

    def __init__(self, num_classes):
        super().__init__()
        self.convolution, self.output = torch.nn.Conv2d(3, 4, 3, 2), torch.nn.Linear(4, num_classes)

    def forward(self, images):
        return self.output(self.convolution(images).relu().mean((2, 3)))


CUSTOM = ModelSection(architecture="custom")


def test_factory_builds_the_custom_network():
    network = build_network(CUSTOM, 3, 16, lambda num_classes, image_size: Plain(num_classes))
    assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 3)


def test_custom_network_without_a_factory_is_rejected():
    with pytest.raises(RecipeError, match=r"model\.architecture custom: .* Pass network=factory"):
        build_network(CUSTOM, 3, 16)
    assert not supports_image_size(CUSTOM, 16)


def test_unknown_architecture_is_rejected_with_a_suggestion():
    with pytest.raises(RecipeError, match=r"model\.architecture: 'depe' is not a network family\. Did you mean 'deep'"):
        family_of(ModelSection(architecture="depe"))


def test_factory_for_a_built_in_architecture_is_rejected():
    with pytest.raises(RecipeError, match="it is simple, but network is given"):
        family_of(ModelSection(), lambda num_classes, image_size: Plain(num_classes))


def test_embedding_without_features_is_the_input_of_the_last_linear_layer():
    network, images = Plain(3), torch.randn(2, 3, 16, 16)
    assert torch.equal(embed(network, images), network.convolution(images).relu().mean((2, 3)))


def test_features_may_be_a_submodule():
    """Many networks keep their convolutions under this name, as torchvision's VGG does."""
    network = torch.nn.Module()
    network.features, network.output = torch.nn.Flatten(), torch.nn.Linear(12, 2)
    network.forward = lambda images: network.output(network.features(images) * 2)
    images = torch.randn(2, 3, 2, 2)
    assert torch.equal(embed(network, images), images.flatten(1) * 2)


def test_embedding_of_a_network_without_linear_layers_is_rejected():
    with pytest.raises(ModelError, match=r"Sequential: has no embedding\. Give it a method features"):
        embed(torch.nn.Sequential(torch.nn.Flatten()), torch.zeros(1, 3, 2, 2))


@pytest.mark.parametrize(
    "module",
    [
        torch.nn.LSTM(3, 3),
        torch.nn.Conv2d(3, 4, 3, stride=2, padding=1),
        torch.nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        torch.nn.MaxPool2d(3, 2, padding=1),
        torch.nn.BatchNorm2d(3, affine=False),
    ],
    ids=str,
)
def test_modules_without_an_equivalent_are_not_portable(module):
    with pytest.raises(ModelError, match=r"has no equivalent standard layer\. Export to onnx"):
        CustomFamily().to_portable(CUSTOM, Network(torch.nn.Sequential(module), torch.nn.Linear(4, 2)))


@pytest.mark.parametrize(
    "module",
    [
        torch.nn.Conv2d(4, 6, (3, 5), stride=(2, 1), groups=2, bias=False),
        torch.nn.Conv2d(4, 6, (3, 5), padding=(1, 2)),
        torch.nn.Conv2d(4, 6, 4, padding="same", dilation=2),
        torch.nn.MaxPool2d(3, 2),
        torch.nn.BatchNorm2d(4, eps=0.1),
    ],
    ids=str,
)
def test_portable_layer_equals_the_module(module):
    """The portable network is the module between two pointwise convolutions of the same weights."""
    before, after = torch.nn.Conv2d(3, 4, 1), torch.nn.Linear(6 if hasattr(module, "groups") else 4, 2)
    pool = FAMILIES["layers"].build(ModelSection(architecture="layers", layers=[{"kind": "global_max_pooling"}]), 3, 8)
    network = Network(torch.nn.Sequential(before, module.eval(), *pool.body), after)
    portable = portable_layers(network)
    standard = build_sequential(portable.specs, 2, 12).eval()
    for target, state in zip(stateful_modules(standard), portable.states, strict=True):
        target.load_state_dict(state)
    images = torch.randn(2, 3, 12, 12)
    torch.testing.assert_close(standard(images), network(images))
