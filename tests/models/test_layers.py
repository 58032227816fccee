import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from tinysight.models.layers import (
    ByteDropout,
    ChannelAffine,
    ChannelsLastFlatten,
    GlobalAvgPool,
    GlobalMaxPool,
    MaskedAvgPool,
    ResidualBlock,
)

LAYOUTS = [torch.contiguous_format, torch.channels_last]
RATES = [0.25, 0.5]


def apply_dropout(rate, activations, seed=0):
    torch.manual_seed(seed)
    return ByteDropout(rate).train()(activations)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_flatten_has_the_order_of_keras(layout):
    images = torch.rand(5, 4, 3, 2)
    expected = images.numpy().transpose(0, 2, 3, 1).reshape(5, -1)

    np.testing.assert_array_equal(ChannelsLastFlatten()(images.contiguous(memory_format=layout)), expected)


@pytest.mark.parametrize("rate", RATES)
def test_dropout_is_the_identity_in_eval_mode(rate):
    activations = torch.rand(4, 7)

    assert torch.equal(ByteDropout(rate).eval()(activations), activations)


@pytest.mark.parametrize("rate", RATES)
def test_dropout_zeroes_the_rate_and_rescales_the_rest(rate):
    n = 2**20
    output = apply_dropout(rate, torch.full((n,), 3.0))
    zeros = int((output == 0).sum())

    assert output[output != 0].unique().tolist() == pytest.approx([3 / (1 - rate)])
    assert abs(zeros - n * rate) < 5 * math.sqrt(n * rate * (1 - rate))  # five standard deviations


@pytest.mark.parametrize("rate", RATES)
def test_dropout_is_independent_between_activations(rate):
    """Activations that share a 64-bit random word, or lie at a fixed stride, are uncorrelated."""
    centered = (apply_dropout(rate, torch.ones(64, 32, 8, 8)) == 0).double() - rate
    variance = rate * (1 - rate)
    tolerance = 5 * variance / math.sqrt(centered.numel() / 2)

    for dimension in range(4):
        for lag in range(1, 8):
            products = centered * centered.roll(lag, dimension)
            assert abs(products.mean()) < tolerance, (dimension, lag)


def test_dropout_depends_on_the_seed_and_differs_between_steps():
    activations = torch.ones(1000)
    torch.manual_seed(3)
    layer = ByteDropout(0.5)
    first, second = layer(activations), layer(activations)

    assert torch.equal(apply_dropout(0.5, activations, seed=3), first)
    assert not torch.equal(first, second)


@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    rate=st.sampled_from(RATES),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    order=st.randoms(use_true_random=False),
)
def test_dropout_supports_any_shape_layout_and_dtype(shape, rate, dtype, order):
    dimensions = list(range(len(shape)))
    order.shuffle(dimensions)
    activations = torch.ones(shape, dtype=dtype).permute(dimensions)
    output = apply_dropout(rate, activations)

    assert (output.shape, output.dtype) == (activations.shape, dtype)
    assert set(output.flatten().tolist()) <= {0.0, torch.tensor(1 / (1 - rate), dtype=dtype).item()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_dropout_preserves_the_layout_and_masks_gradients_like_activations(layout):
    activations = torch.ones(8, 16, 5, 5).contiguous(memory_format=layout).requires_grad_()
    output = apply_dropout(0.25, activations)
    output.sum().backward()

    assert output.is_contiguous(memory_format=layout)
    assert torch.equal(activations.grad, output.detach())


@given(
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    data=st.data(),
)
def test_average_pooling_excludes_the_padding_from_the_mean(size, window, stride, data):
    """The mean of each window over the pixels inside the image, computed one by one."""
    (height, width), (rows, columns) = size, window
    left, right = (data.draw(st.integers(0, columns - 1)) for _ in range(2))
    top, bottom = (data.draw(st.integers(0, rows - 1)) for _ in range(2))
    assume(height + top + bottom >= rows and width + left + right >= columns)
    pixels = np.random.default_rng(height * width).normal(size=(2, 3, height, width))
    output = MaskedAvgPool(window, stride, (left, right, top, bottom))(torch.from_numpy(pixels)).numpy()
    outside = np.pad(pixels, [(0, 0), (0, 0), (top, bottom), (left, right)], constant_values=np.nan)
    for row in range(output.shape[2]):
        for column in range(output.shape[3]):
            y, x = row * stride[0], column * stride[1]
            covered = outside[:, :, y : y + rows, x : x + columns]
            if not np.isnan(covered).all():
                np.testing.assert_allclose(output[:, :, row, column], np.nanmean(covered, (2, 3)), atol=1e-9)
    assert output.shape[2:] == (
        (height + top + bottom - rows) // stride[0] + 1,
        (width + left + right - columns) // stride[1] + 1,
    )


def test_global_pooling_reduces_each_channel_to_one_value():
    images = torch.randn(4, 3, 5, 2)
    np.testing.assert_array_equal(GlobalMaxPool()(images), images.numpy().max((2, 3)))
    np.testing.assert_allclose(GlobalAvgPool()(images), images.numpy().mean((2, 3)), atol=1e-6)


@pytest.mark.parametrize(
    ("scale", "offset"), [(2.0, -1.0), ((1.0, 2.0, 3.0), (0.0, -4.0, 5.0)), (2.0, (1.0, 2.0, 3.0))]
)
def test_channel_affine_scales_and_shifts_each_channel(scale, offset):
    images = torch.randn(2, 3, 4, 5)
    columns = [np.broadcast_to(value, 3).reshape(3, 1, 1) for value in (scale, offset)]
    layer = ChannelAffine(scale, offset)
    np.testing.assert_allclose(layer(images), images.numpy() * columns[0] + columns[1], atol=1e-6)
    assert layer.state_dict() == {}  # settings of the recipe, not weights


def test_channel_affine_keeps_its_values_on_the_meta_device():
    with torch.device("meta"):
        layer = ChannelAffine(2.0, 1.0)
    assert layer(torch.ones(1, 3, 1, 1)).flatten().tolist() == [3.0, 3.0, 3.0]


def test_residual_block_adds_the_identity_or_its_shortcut():
    images = torch.randn(2, 3, 4, 4)
    body, shortcut = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1)), nn.Sequential(nn.Conv2d(3, 3, 1))
    assert torch.equal(ResidualBlock(body)(images), body(images) + images)
    assert torch.equal(ResidualBlock(body, shortcut)(images), body(images) + shortcut(images))


@pytest.mark.parametrize(("rate", "shown"), [(0.25, "rate=0.25"), (0.0, "rate=0"), (0.1, "rate=0.101562")])
def test_dropout_shows_its_rate_in_steps_of_a_byte(rate, shown):
    assert repr(ByteDropout(rate)) == f"ByteDropout({shown})"


def test_dropout_of_rate_zero_keeps_everything_in_training():
    activations = torch.rand(100)
    assert torch.equal(apply_dropout(0.001, activations), activations)  # below half a step of 1/256
