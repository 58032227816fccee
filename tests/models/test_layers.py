import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinysight.models.layers import Dropout, Flatten

LAYOUTS = [torch.contiguous_format, torch.channels_last]
SHARES = [0.25, 0.5]


def dropped(share, activations, seed=0):
    torch.manual_seed(seed)
    return Dropout(share).train()(activations)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_flatten_has_the_order_of_a_keras_flatten(layout):
    images = torch.rand(5, 4, 3, 2)
    expected = images.numpy().transpose(0, 2, 3, 1).reshape(5, -1)

    np.testing.assert_array_equal(Flatten()(images.contiguous(memory_format=layout)), expected)


@pytest.mark.parametrize("share", SHARES)
def test_dropout_leaves_activations_alone_when_not_training(share):
    activations = torch.rand(4, 7)

    assert torch.equal(Dropout(share).eval()(activations), activations)


@pytest.mark.parametrize("share", SHARES)
def test_dropout_sets_its_share_to_zero_and_scales_up_the_rest(share):
    n = 2**20
    found = dropped(share, torch.full((n,), 3.0))
    zeros = int((found == 0).sum())

    assert found[found != 0].unique().tolist() == pytest.approx([3 / (1 - share)])
    assert abs(zeros - n * share) < 5 * math.sqrt(n * share * (1 - share))  # five standard deviations


@pytest.mark.parametrize("share", SHARES)
def test_dropout_decides_for_every_activation_by_itself(share):
    """Neighbours share a random number's bytes, rows and channels a stride: none of them may go together."""
    zero = (dropped(share, torch.ones(64, 32, 8, 8)) == 0).double() - share
    spread = share * (1 - share)
    tolerance = 5 * spread / math.sqrt(zero.numel() / 2)

    for dimension in range(4):
        for lag in range(1, 8):
            neighbours = zero * zero.roll(lag, dimension)
            assert abs(neighbours.mean()) < tolerance, (dimension, lag)


def test_the_same_seed_drops_the_same_and_the_next_step_others():
    activations = torch.ones(1000)
    torch.manual_seed(3)
    layer = Dropout(0.5)
    first, second = layer(activations), layer(activations)

    assert torch.equal(dropped(0.5, activations, seed=3), first)
    assert not torch.equal(first, second)


@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    share=st.sampled_from(SHARES),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    order=st.randoms(use_true_random=False),
)
def test_dropout_takes_any_shape_layout_and_number_type(shape, share, dtype, order):
    dimensions = list(range(len(shape)))
    order.shuffle(dimensions)
    activations = torch.ones(shape, dtype=dtype).permute(dimensions)
    found = dropped(share, activations)

    assert (found.shape, found.dtype) == (activations.shape, dtype)
    assert set(found.flatten().tolist()) <= {0.0, torch.tensor(1 / (1 - share), dtype=dtype).item()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_dropout_keeps_the_layout_and_lets_gradients_through_where_it_let_activations_through(layout):
    activations = torch.ones(8, 16, 5, 5).contiguous(memory_format=layout).requires_grad_()
    found = dropped(0.25, activations)
    found.sum().backward()

    assert found.is_contiguous(memory_format=layout)
    assert torch.equal(activations.grad, found.detach())
