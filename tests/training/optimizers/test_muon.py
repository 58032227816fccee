"""Muon compared with a float64 implementation based on the singular value decomposition."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tinysight.recipes.schema import OptimizerSection
from tinysight.training.optimizers import build_optimizer
from tinysight.training.optimizers.muon import orthogonalize

CONFIG = OptimizerSection(name="muon", learning_rate=0.5, weight_decay=0.02)


def reference(matrix):
    """Apply three iterations of the polynomial to the singular values."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = values / np.linalg.norm(values)
    for _ in range(3):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return left @ np.diag(values) @ right


# bfloat16 has 8 significant bits; three iterations magnify the rounding error of a small singular value 40 times.
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-3), (torch.bfloat16, 0.1)])
@given(seed=st.integers(0, 1000), rows=st.integers(1, 40), columns=st.integers(1, 40), scale=st.floats(1, 1e3))
def test_it_changes_the_singular_values_only(dtype, error, seed, rows, columns, scale):
    matrix = scale * np.random.default_rng(seed).normal(size=(rows, columns))

    result = orthogonalize(torch.from_numpy(matrix).float(), dtype).numpy()

    assert np.linalg.norm(result - reference(matrix)) < error * math.sqrt(min(rows, columns))


def test_a_zero_gradient_gives_a_zero_step():
    assert orthogonalize(torch.zeros(4, 9), torch.float32).abs().sum() == 0


def test_filters_follow_orthogonalized_momentum_and_keep_their_norm():
    random = np.random.default_rng(0)
    filters = nn.Parameter(torch.from_numpy(random.normal(size=(8, 3, 3, 3))).float())
    optimizer = build_optimizer([filters], CONFIG)
    expected, momentum = filters.detach().numpy().astype(float).reshape(8, -1), 0.0
    for lr_scale in (1.0, 0.5):
        gradient = random.normal(size=(8, 3, 3, 3)).astype(np.float32)
        filters.grad = torch.from_numpy(gradient)
        optimizer.step(lr_scale)

        flat = gradient.reshape(8, -1)
        momentum = CONFIG.muon_momentum * momentum + flat
        expected *= math.sqrt(8) / np.linalg.norm(expected)
        expected -= lr_scale * CONFIG.learning_rate * reference(flat + CONFIG.muon_momentum * momentum)

    difference = filters.detach().numpy().reshape(8, -1) - expected
    assert np.linalg.norm(difference) < 1e-3 * np.linalg.norm(expected)


def test_hidden_dense_layers_are_filters_and_the_last_matrix_is_the_head():
    random = np.random.default_rng(0)
    shapes = [(6, 10), (6,), (4, 6), (4,)]  # hidden layer, bias, head, bias
    parameters = [nn.Parameter(torch.from_numpy(random.normal(size=shape))) for shape in shapes]
    alone = [nn.Parameter(parameter.detach().clone()) for parameter in parameters[1:]]
    gradients = [torch.from_numpy(random.normal(size=shape)) for shape in shapes]
    for group in (parameters, alone):
        for parameter, gradient in zip(group, gradients[-len(group) :], strict=True):
            parameter.grad = gradient.clone()
        build_optimizer(group, CONFIG).step()

    hidden = parameters[0].detach().numpy()
    step = (1 + CONFIG.muon_momentum) * gradients[0].numpy()
    initial = np.random.default_rng(0).normal(size=(6, 10))
    expected = initial * math.sqrt(6) / np.linalg.norm(initial) - CONFIG.learning_rate * reference(step)
    assert np.linalg.norm(hidden - expected) < 1e-3 * np.linalg.norm(expected)
    for parameter, expected in zip(parameters[1:], alone, strict=True):  # the head and the biases are as without it
        assert torch.equal(parameter, expected)


@pytest.mark.parametrize(("shape", "rate"), [((5,), CONFIG.bias_learning_rate), ((3, 4), CONFIG.head_learning_rate)])
def test_other_parameters_follow_nesterov_momentum(shape, rate):
    random = np.random.default_rng(0)
    parameter = nn.Parameter(torch.ones(shape, dtype=torch.float64))
    optimizer = build_optimizer([parameter], CONFIG)
    expected, momentum = np.ones(shape), 0.0
    for lr_scale in (1.0, 0.7, 0.1):
        gradient = 1e-3 * random.normal(size=shape)
        parameter.grad = torch.from_numpy(gradient)
        optimizer.step(lr_scale)

        decayed = gradient + CONFIG.weight_decay / rate * expected
        momentum = CONFIG.momentum * momentum + decayed
        expected = expected - lr_scale * rate * (decayed + CONFIG.momentum * momentum)

    np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-9)


def test_frozen_parameters_are_unchanged():
    frozen = nn.Parameter(torch.ones(4), requires_grad=False)
    frozen.grad = torch.ones(4)
    build_optimizer([frozen], CONFIG).step()

    assert frozen.tolist() == [1, 1, 1, 1]
