"""The `fast` network family and its layers."""

import numpy as np
import pytest
import torch

from tinysight._util.errors import RecipeError
from tinysight.models.families.fast import STEM_CHANNELS, FixedScaleBatchNorm, WhiteningConv
from tinysight.models.layers import GlobalMaxPool
from tinysight.models.registry import build_network
from tinysight.models.summary import count_parameters
from tinysight.recipes.schema import ModelSection


def fast(stem_stride=1, widths=(16, 24, 32), classes=10, size=32):
    return build_network(
        ModelSection(architecture="fast", stem_stride=stem_stride, channels=list(widths)), classes, size
    )


@pytest.fixture
def images():
    """Smooth noise whose neighboring pixels and channels are correlated, as in natural images."""
    noise = np.random.default_rng(0).normal(size=(64, 3, 18, 18))
    smooth = noise[..., :-2, :-2] + noise[..., 1:-1, 1:-1] + noise[..., 2:, 2:]
    return torch.from_numpy(smooth + smooth.mean(1, keepdims=True)).float()


@pytest.mark.parametrize("stem_stride", [1, 2])
@pytest.mark.parametrize(("classes", "size"), [(2, 24), (10, 32), (7, 64)])
def test_output_has_one_logit_per_class(stem_stride, classes, size):
    assert fast(stem_stride, classes=classes, size=size)(torch.randn(3, 3, size, size)).shape == (3, classes)


def test_parameter_count_follows_from_the_widths():
    inputs, expected = STEM_CHANNELS[1], 0
    for width in (64, 256, 256):
        expected += 9 * width * (inputs + width) + 2 * width
        inputs = width
    assert count_parameters(fast(widths=(64, 256, 256))) == expected + 256 * 10


@pytest.mark.parametrize(("stem_stride", "smallest"), [(1, 9), (2, 18)])
def test_smallest_image_size(stem_stride, smallest):
    assert fast(stem_stride, size=smallest)(torch.randn(2, 3, smallest, smallest)).shape == (2, 10)
    with pytest.raises(RecipeError, match=rf"Images of {smallest - 1}x{smallest - 1}: too small for this network"):
        fast(stem_stride, size=smallest - 1)


@pytest.mark.parametrize(("size", "stride"), [(2, 1), (4, 2)])
def test_whitened_patches_have_identity_covariance(images, size, stride):
    stem = WhiteningConv(2 * 3 * size**2, size, stride)
    stem.fit(images)

    patches = images.unfold(2, size, size).unfold(3, size, size).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * size**2)
    half = stem.filters[: 3 * size**2].flatten(1)
    covariance = (patches @ half.T).T @ (patches @ half.T) / len(patches)
    torch.testing.assert_close(covariance, torch.eye(3 * size**2), atol=0.02, rtol=0)


def test_filters_have_negatives_and_start_with_the_first_principal_component(images):
    stem = WhiteningConv(8, 2, 1)
    stem.fit(images)
    assert torch.equal(stem.filters[4:], -stem.filters[:4])

    patches = images.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12).double().numpy()
    _, _, components = np.linalg.svd(patches, full_matrices=False)
    first = stem.filters[0].flatten().double().numpy()
    assert abs(first @ components[0]) / np.linalg.norm(first) == pytest.approx(1, abs=1e-4)


def test_whitening_filters_are_a_buffer_and_not_trained():
    network = fast()
    assert "body.0.filters" in network.state_dict()
    assert "body.0.filters" not in dict(network.named_parameters())


def test_initial_convolutions_are_the_identity():
    network = fast(widths=(32,)).double()
    convolution = network.body[2]
    images = torch.randn(1, 24, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(convolution(images)[:, :24], images)


def test_batch_norm_trains_its_bias_but_not_its_scale():
    norm = FixedScaleBatchNorm(4)
    assert [norm.weight.requires_grad, norm.bias.requires_grad] == [False, True]


def test_global_max_pool_covers_all_positions():
    images = torch.zeros(1, 2, 3, 3)
    images[0, 1, 2, 0] = 5
    assert GlobalMaxPool()(images).tolist() == [[0, 5]]
