"""Optimizers compared with scalar float64 implementations of their formulas."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from tinysight.recipes.schema import OptimizerSection
from tinysight.training.optimizers import build_optimizer
from tinysight.training.optimizers.keras import CHUNK_SIZE

NAMES = ["rmsprop", "adam"]
decay_rates = st.sampled_from([0.5, 0.9, 0.99, 0.999])  # at smaller ones rounding can flip the sign of a step
configs = st.builds(
    OptimizerSection,
    name=st.sampled_from(NAMES),
    learning_rate=st.floats(1e-6, 1.0),
    rho=decay_rates,
    beta_1=decay_rates,
    beta_2=decay_rates,
    epsilon=st.sampled_from([1e-7, 1e-3, 0.1]),
)
gradients = arrays(np.float64, st.tuples(st.integers(1, 5), st.just(2), st.just(3)), elements=st.floats(-100, 100))


def rmsprop(config, value, gradients):
    mean_square = 0.0
    for gradient in gradients:
        mean_square = config.rho * mean_square + (1 - config.rho) * gradient**2
        value -= config.learning_rate * gradient / math.sqrt(mean_square + config.epsilon)
    return value


def adam(config, value, gradients):
    mean = mean_square = 0.0
    for step, gradient in enumerate(gradients, 1):
        mean = config.beta_1 * mean + (1 - config.beta_1) * gradient
        mean_square = config.beta_2 * mean_square + (1 - config.beta_2) * gradient**2
        rate = config.learning_rate * math.sqrt(1 - config.beta_2**step) / (1 - config.beta_1**step)
        value -= rate * mean / (math.sqrt(mean_square) + config.epsilon)
    return value


def expected(config, values, gradients):
    """Return `values` after steps along `gradients` (steps, *shape)."""
    formula = {"rmsprop": rmsprop, "adam": adam}[config.name]
    columns = gradients.reshape(len(gradients), -1).T.tolist()
    updated = [formula(config, value, column) for value, column in zip(values.flat, columns, strict=True)]
    return np.reshape(updated, values.shape)


def run_steps(optimizer, parameter, gradients):
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient)
        optimizer.step()
    return parameter.detach().numpy()


@given(config=configs, gradients=gradients)
def test_every_number_follows_the_formula(config, gradients):
    parameter = nn.Parameter(torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3))
    reference = expected(config, parameter.detach().numpy().copy(), gradients)

    values = run_steps(build_optimizer([parameter], config), parameter, gradients)

    np.testing.assert_allclose(values, reference, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_tensor_of_several_chunks_follows_the_formula(name):
    config, random = OptimizerSection(name=name), np.random.default_rng(0)
    parameter = nn.Parameter(torch.zeros(2, CHUNK_SIZE + 5, dtype=torch.float64))
    gradients = random.normal(size=(3, *parameter.shape))

    values = run_steps(build_optimizer([parameter], config), parameter, gradients)

    for index in (np.s_[0, :3], np.s_[0, -7:], np.s_[1, :3], np.s_[1, -12:]):  # both sides of every chunk boundary
        reference = expected(config, np.zeros_like(values[index]), gradients[:, *index])
        np.testing.assert_allclose(values[index], reference, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", [(3, 2, 1, 0), (0, 2, 3, 1)])
def test_the_memory_order_of_a_gradient_does_not_matter(name, order):
    config, random = OptimizerSection(name=name), np.random.default_rng(0)
    parameter = nn.Parameter(torch.zeros(4, 3, 2, 2, dtype=torch.float64))
    gradients = random.normal(size=(2, *parameter.shape))
    reference = expected(config, np.zeros(parameter.shape), gradients)
    inverse = np.argsort(order)

    rearranged = [np.ascontiguousarray(gradient.transpose(order)).transpose(inverse) for gradient in gradients]
    values = run_steps(build_optimizer([parameter], config), parameter, rearranged)

    np.testing.assert_allclose(values, reference, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_restored_optimizer_continues_bit_for_bit(name):
    config, gradients = OptimizerSection(name=name), np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    uninterrupted, resumed = nn.Parameter(torch.zeros(9)), nn.Parameter(torch.zeros(9))
    reference = run_steps(build_optimizer([uninterrupted], config), uninterrupted, gradients)

    before, after = build_optimizer([resumed], config), build_optimizer([resumed], config)
    run_steps(before, resumed, gradients[:4])
    after.load_state_dict({key: tensor.clone() for key, tensor in before.state_dict().items()}, before.steps)

    np.testing.assert_array_equal(run_steps(after, resumed, gradients[4:]), reference)


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_without_a_gradient_is_unchanged_and_zero_grad_clears_gradients(name):
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = build_optimizer([unused, used], OptimizerSection(name=name))
    run_steps(optimizer, used, np.ones((1, 2), np.float32))

    assert unused.tolist() == [1, 1]
    assert used.tolist() != [1, 1]
    optimizer.zero_grad()
    assert used.grad is None
