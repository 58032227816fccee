import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinysight.models.layers import ByteDropout, ChannelsLastFlatten

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
