"""The optimisers held against their formulas, written out number by number in float64."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from tinysight.recipes.schema import Optimiser
from tinysight.training.optimisers import build
from tinysight.training.optimisers.keras import PIECE

NAMES = ["rmsprop", "adam"]
shares = st.sampled_from([0.5, 0.9, 0.99, 0.999])  # with less memory, rounding alone may turn a step around
configs = st.builds(
    Optimiser,
    name=st.sampled_from(NAMES),
    learning_rate=st.floats(1e-6, 1.0),
    rho=shares,
    beta_1=shares,
    beta_2=shares,
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
    found = [formula(config, value, column) for value, column in zip(values.flat, columns, strict=True)]
    return np.reshape(found, values.shape)


def stepped(optimiser, parameter, gradients):
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient)
        optimiser.step()
    return parameter.detach().numpy()


@given(config=configs, gradients=gradients)
def test_every_number_follows_the_formula(config, gradients):
    parameter = nn.Parameter(torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3))
    reference = expected(config, parameter.detach().numpy().copy(), gradients)

    found = stepped(build([parameter], config), parameter, gradients)

    np.testing.assert_allclose(found, reference, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_tensor_of_several_pieces_follows_the_formula_to_its_last_number(name):
    config, random = Optimiser(name=name), np.random.default_rng(0)
    parameter = nn.Parameter(torch.zeros(2, PIECE + 5, dtype=torch.float64))
    gradients = random.normal(size=(3, *parameter.shape))

    found = stepped(build([parameter], config), parameter, gradients)

    for place in (np.s_[0, :3], np.s_[0, -7:], np.s_[1, :3], np.s_[1, -12:]):  # both sides of every seam
        reference = expected(config, np.zeros_like(found[place]), gradients[:, *place])
        np.testing.assert_allclose(found[place], reference, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", [(3, 2, 1, 0), (0, 2, 3, 1)])
def test_a_gradient_in_another_memory_order_counts_the_same(name, order):
    config, random = Optimiser(name=name), np.random.default_rng(0)
    parameter = nn.Parameter(torch.zeros(4, 3, 2, 2, dtype=torch.float64))
    gradients = random.normal(size=(2, *parameter.shape))
    reference = expected(config, np.zeros(parameter.shape), gradients)
    backwards = np.argsort(order)

    rearranged = [np.ascontiguousarray(gradient.transpose(order)).transpose(backwards) for gradient in gradients]
    found = stepped(build([parameter], config), parameter, rearranged)

    np.testing.assert_allclose(found, reference, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_an_optimiser_that_was_put_away_and_taken_out_goes_on_bit_for_bit(name):
    config, gradients = Optimiser(name=name), np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    one, other = nn.Parameter(torch.zeros(9)), nn.Parameter(torch.zeros(9))
    straight = stepped(build([one], config), one, gradients)

    before, after = build([other], config), build([other], config)
    stepped(before, other, gradients[:4])
    after.load_state({key: tensor.clone() for key, tensor in before.state().items()}, before.steps)

    np.testing.assert_array_equal(stepped(after, other, gradients[4:]), straight)


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_without_a_gradient_stays_and_zero_grad_takes_gradients_away(name):
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimiser = build([unused, used], Optimiser(name=name))
    stepped(optimiser, used, np.ones((1, 2), np.float32))

    assert unused.tolist() == [1, 1]
    assert used.tolist() != [1, 1]
    optimiser.zero_grad()
    assert used.grad is None
