"""Families whose weights come from timm: they equal timm's networks, and a second implementation in plain torch."""

import math

import pytest
import torch
import torch.nn.functional as F

from tinysight._util.errors import ModelError
from tinysight.models.fusion import fused
from tinysight.models.registry import FAMILIES, build_network
from tinysight.models.summary import count_parameters
from tinysight.recipes.schema import ModelSection

TIMM_NAMES = {
    "efficientnet-b0": "efficientnet_b0",
    "mobilenet-v3": "mobilenetv3_large_100",
    "vit-tiny": "vit_tiny_patch16_224",
}
PARAMETERS = {"efficientnet-b0": 5_288_548, "mobilenet-v3": 5_483_032, "vit-tiny": 5_717_416}  # as published
HEADS = {"efficientnet-b0": "classifier", "mobilenet-v3": "classifier", "vit-tiny": "head"}


@pytest.fixture(params=TIMM_NAMES)
def family(request):
    """A family with weights from timm."""
    return FAMILIES[request.param]


def network_with(family, tensors, size):
    """Return the network of a family, for 10 classes, with all tensors of a file, those of the last layer included."""
    network = build_network(ModelSection(architecture=family.name), 10, size)
    family.load_tensors(network, tensors)
    head = next(module for module in network.head.modules() if isinstance(module, torch.nn.Linear))
    head.load_state_dict({key: tensors[f"{HEADS[family.name]}.{key}"] for key in ("weight", "bias")})
    return network.eval()


# The second implementation: one function per network, from timm's names and the papers alone.


def batch_norm(tensors, name, images):
    mean, var = tensors[f"{name}.running_mean"], tensors[f"{name}.running_var"]
    scale = tensors[f"{name}.weight"] / (var + 1e-5).sqrt()
    return (images - mean[:, None, None]) * scale[:, None, None] + tensors[f"{name}.bias"][:, None, None]


def conv(tensors, name, images, stride=1):
    weight = tensors[f"{name}.weight"]
    groups = images.shape[1] // weight.shape[1]
    return F.conv2d(images, weight, tensors.get(f"{name}.bias"), stride, weight.shape[-1] // 2, 1, groups)


def hard_sigmoid(values):
    return (values / 6 + 0.5).clamp(0, 1)


def hard_swish(values):
    return values * hard_sigmoid(values)


def swish(values):
    return values / (1 + (-values).exp())


def relu(values):
    return values.clamp(min=0)


def inverted_residual(tensors, name, images, stride, activation, squeeze_activation, gate):
    values = images
    if f"{name}.conv_pwl.weight" in tensors:
        values = activation(batch_norm(tensors, f"{name}.bn1", conv(tensors, f"{name}.conv_pw", values)))
        norms, project = ("bn2", "bn3"), "conv_pwl"
    else:
        norms, project = ("bn1", "bn2"), "conv_pw"
    values = conv(tensors, f"{name}.conv_dw", values, stride)
    values = activation(batch_norm(tensors, f"{name}.{norms[0]}", values))
    if f"{name}.se.conv_reduce.weight" in tensors:
        mean = values.flatten(2).mean(2)[..., None, None]
        squeezed = squeeze_activation(conv(tensors, f"{name}.se.conv_reduce", mean))
        values = values * gate(conv(tensors, f"{name}.se.conv_expand", squeezed))
    values = batch_norm(tensors, f"{name}.{norms[1]}", conv(tensors, f"{name}.{project}", values))
    return values + images if values.shape == images.shape and stride == 1 else values


def block_names(tensors, stage):
    prefixes = {tuple(name.split(".")[:3]) for name in tensors if name.startswith(f"blocks.{stage}.")}
    return [".".join(prefix) for prefix in sorted(prefixes)]


def efficientnet_b0(tensors, images):
    values = swish(batch_norm(tensors, "bn1", conv(tensors, "conv_stem", images, 2)))
    for stage, first_stride in enumerate([1, 2, 2, 2, 1, 2, 1]):
        for number, name in enumerate(block_names(tensors, stage)):
            stride = 1 if number else first_stride
            values = inverted_residual(tensors, name, values, stride, swish, swish, torch.sigmoid)
    values = swish(batch_norm(tensors, "bn2", conv(tensors, "conv_head", values)))
    return values.flatten(2).mean(2) @ tensors["classifier.weight"].T + tensors["classifier.bias"]


def mobilenet_v3(tensors, images):
    values = hard_swish(batch_norm(tensors, "bn1", conv(tensors, "conv_stem", images, 2)))
    for stage, first_stride in enumerate([1, 2, 2, 2, 1, 2]):
        activation = relu if stage < 3 else hard_swish
        for number, name in enumerate(block_names(tensors, stage)):
            stride = 1 if number else first_stride
            values = inverted_residual(tensors, name, values, stride, activation, relu, hard_sigmoid)
    values = hard_swish(batch_norm(tensors, "blocks.6.0.bn1", conv(tensors, "blocks.6.0.conv", values)))
    pooled = values.flatten(2).mean(2)[..., None, None]
    features = hard_swish(conv(tensors, "conv_head", pooled)).flatten(1)
    return features @ tensors["classifier.weight"].T + tensors["classifier.bias"]


def layer_norm(tensors, name, values):
    centered = values - values.mean(-1, keepdim=True)
    scaled = centered / (centered.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]


def linear(tensors, name, values):
    return values @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]


def attention(tensors, name, tokens):
    queries, keys, values = linear(tensors, f"{name}.qkv", tokens).split(192, -1)
    heads = []
    for part in (slice(0, 64), slice(64, 128), slice(128, 192)):
        scores = queries[..., part] @ keys[..., part].transpose(1, 2) / 8
        heads.append(scores.softmax(-1) @ values[..., part])
    return linear(tensors, f"{name}.proj", torch.cat(heads, -1))


def vit_tiny(tensors, images):
    n, side = len(images), images.shape[-1] // 16
    patches = images.view(n, 3, side, 16, side, 16).permute(0, 2, 4, 1, 3, 5).reshape(n, side * side, -1)
    weight, bias = tensors["patch_embed.proj.weight"].flatten(1), tensors["patch_embed.proj.bias"]
    tokens = torch.cat([tensors["cls_token"].expand(n, 1, -1), patches @ weight.T + bias], 1) + tensors["pos_embed"]
    for number in range(12):
        name = f"blocks.{number}"
        tokens = tokens + attention(tensors, f"{name}.attn", layer_norm(tensors, f"{name}.norm1", tokens))
        hidden = linear(tensors, f"{name}.mlp.fc1", layer_norm(tensors, f"{name}.norm2", tokens))
        hidden = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
        tokens = tokens + linear(tensors, f"{name}.mlp.fc2", hidden)
    return linear(tensors, "head", layer_norm(tensors, "norm", tokens)[:, 0])


REFERENCES = {"efficientnet-b0": efficientnet_b0, "mobilenet-v3": mobilenet_v3, "vit-tiny": vit_tiny}


@pytest.mark.parametrize("size", [64, 80])
def test_network_equals_the_second_implementation(family, size, published_tensors):
    tensors = published_tensors(family, size)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    network = network_with(family, tensors, size)
    with torch.inference_mode():
        expected = REFERENCES[family.name](tensors, images)
        assert expected.abs().mean() > 0.01
        torch.testing.assert_close(network(images), expected, atol=2e-4, rtol=2e-4)
        torch.testing.assert_close(fused(network)(images), expected, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("name", ["efficientnet-b0", "mobilenet-v3"])
def test_fused_network_has_no_batch_normalization(name):
    network = build_network(ModelSection(architecture=name), 3, 32)
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in fused(network).modules())


def test_parameter_count_is_that_of_the_published_network(family):
    assert count_parameters(build_network(ModelSection(architecture=family.name), 1000, 224)) == PARAMETERS[family.name]


@pytest.fixture(scope="module")
def timm():
    """The package timm, which is not among the development dependencies, since it needs torchvision."""
    return pytest.importorskip("timm")


@pytest.mark.parametrize("size", [224, 160, 97])
def test_network_equals_that_of_timm(timm, family, size, published_tensors):
    extra = {"img_size": math.ceil(size / 16) * 16} if family.name == "vit-tiny" else {}
    reference = timm.create_model(TIMM_NAMES[family.name], num_classes=10, **extra).eval()
    tensors = published_tensors(family, 224)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    network = network_with(family, tensors, size)
    if family.name == "vit-tiny":  # as timm does when it loads the published file into a network for another size
        from timm.models.vision_transformer import checkpoint_filter_fn

        reference.load_state_dict(checkpoint_filter_fn(dict(tensors), reference))
        inputs = F.interpolate(images, extra["img_size"], mode="bilinear")
    else:
        reference.load_state_dict(tensors)
        inputs = images
    with torch.inference_mode():
        torch.testing.assert_close(network(images), reference(inputs), atol=5e-4, rtol=5e-4)
        features = reference.forward_head(reference.forward_features(inputs), pre_logits=True)
        torch.testing.assert_close(network.features(images), features, atol=5e-4, rtol=5e-4)


def test_position_embeddings_of_the_published_size_are_kept(published_tensors):
    family = FAMILIES["vit-tiny"]
    tensors = published_tensors(family, 224)
    network = network_with(family, tensors, 224)
    assert torch.equal(network.body.pos_embed, tensors["pos_embed"])


def test_vision_transformer_enlarges_images_to_whole_patches():
    torch.manual_seed(0)
    network = build_network(ModelSection(architecture="vit-tiny"), 3, 40).eval()
    images = torch.randn(2, 3, 40, 40)
    with torch.inference_mode():
        enlarged = network(F.interpolate(images, (48, 48), mode="bilinear"))
        assert torch.equal(network(images), enlarged)


def test_vision_transformer_has_no_standard_layers():
    model = ModelSection(architecture="vit-tiny")
    with pytest.raises(ModelError) as caught:
        FAMILIES["vit-tiny"].to_portable(model, build_network(model, 3, 32))
    assert str(caught.value) == ("architecture vit-tiny: has no equivalent among the standard layers. Export to onnx.")


def test_sources_name_a_commit_and_a_checksum(family):
    source = family.pretrained.source
    assert len(bytes.fromhex(source.revision)) == 20
    assert len(bytes.fromhex(source.sha256)) == 32
    assert source.file.endswith(".safetensors")
