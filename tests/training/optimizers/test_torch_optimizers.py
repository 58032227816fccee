"""SGD and AdamW compared with torch.optim and with their formulas, and the restoring of their state."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tinysight.recipes.schema import OptimizerSection
from tinysight.training.optimizers import build_optimizer

SGD = OptimizerSection(name="sgd", learning_rate=0.1, momentum=0.9, weight_decay=0.01)
ADAMW = OptimizerSection(name="adamw", learning_rate=0.01, beta_1=0.8, beta_2=0.95, weight_decay=0.1, epsilon=1e-6)
SHAPES = [(4, 3, 3, 3), (4,), (5, 4)]
LR_SCALES = (0.5, 1.0, 0.7, 0.1, 0.0)


def make_parameters(dtype=torch.float32):
    random = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=random, dtype=dtype)) for shape in SHAPES]


def set_gradients(parameters, step):
    random = torch.Generator().manual_seed(step)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=random, dtype=parameter.dtype)


def reference(config, parameters):
    if config.name == "sgd":
        return torch.optim.SGD(parameters, lr=1.0, momentum=0.9, weight_decay=0.01, nesterov=True)
    return torch.optim.AdamW(parameters, lr=1.0, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)


@pytest.mark.parametrize("config", [SGD, ADAMW], ids=lambda config: config.name)
def test_steps_equal_those_of_torch(config):
    ours, theirs = make_parameters(), make_parameters()
    optimizer, expected = build_optimizer(ours, config), reference(config, theirs)
    for step, lr_scale in enumerate(LR_SCALES):
        set_gradients(ours, step)
        set_gradients(theirs, step)
        optimizer.step(lr_scale)
        expected.param_groups[0]["lr"] = lr_scale * config.learning_rate
        expected.step()

    for actual, parameter in zip(ours, theirs, strict=True):
        assert torch.equal(actual, parameter)
    assert optimizer.steps == len(LR_SCALES)


def test_sgd_follows_the_nesterov_formula():
    (parameter, *_) = parameters = make_parameters(torch.float64)
    optimizer = build_optimizer(parameters, SGD)
    expected, momentum = parameter.detach().numpy().copy(), 0.0
    for step, lr_scale in enumerate(LR_SCALES):
        set_gradients(parameters, step)
        gradient = parameter.grad.numpy() + 0.01 * expected
        optimizer.step(lr_scale)
        momentum = 0.9 * momentum + gradient
        expected = expected - lr_scale * 0.1 * (gradient + 0.9 * momentum)

    np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-12)


def test_the_weight_decay_of_adamw_is_decoupled_from_the_gradient():
    (parameter, *_) = parameters = make_parameters(torch.float64)
    optimizer = build_optimizer(parameters, ADAMW)
    expected, mean, mean_square = parameter.detach().numpy().copy(), 0.0, 0.0
    for step in range(1, 4):
        set_gradients(parameters, step)
        gradient = parameter.grad.numpy()
        optimizer.step()
        mean, mean_square = 0.8 * mean + 0.2 * gradient, 0.95 * mean_square + 0.05 * gradient**2
        expected = expected * (1 - 0.01 * 0.1)
        root = np.sqrt(mean_square) / math.sqrt(1 - 0.95**step) + 1e-6
        expected = expected - 0.01 / (1 - 0.8**step) * mean / root

    np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("config", [SGD, ADAMW], ids=lambda config: config.name)
@pytest.mark.parametrize("steps_before", [0, 1, 3])
def test_a_restored_optimizer_continues_bit_for_bit(config, steps_before):
    def run(optimizer, parameters, steps):
        for step in steps:
            set_gradients(parameters, step)
            optimizer.step(0.9**step)

    uninterrupted, resumed = make_parameters(), make_parameters()
    run(build_optimizer(uninterrupted, config), uninterrupted, range(6))
    before = build_optimizer(resumed, config)
    run(before, resumed, range(steps_before))
    saved = {name: tensor.clone() for name, tensor in before.state_dict().items()}
    after = build_optimizer(resumed, config)
    after.load_state_dict(saved, before.steps)
    run(after, resumed, range(steps_before, 6))

    for actual, expected in zip(resumed, uninterrupted, strict=True):
        assert torch.equal(actual, expected)
    assert after.steps == 6
    for name, tensor in saved.items():  # the saved state is a copy
        assert tensor is not after.state_dict()[name]


def test_the_state_of_other_parameters_is_rejected():
    parameters = make_parameters()
    optimizer = build_optimizer(parameters, SGD)
    set_gradients(parameters, 0)
    optimizer.step()
    others = build_optimizer([nn.Parameter(torch.zeros(2, 2)) for _ in SHAPES], SGD)

    with pytest.raises(ValueError, match=r"momentum_buffer\.0: has shape \(4, 3, 3, 3\), not \(2, 2\)"):
        others.load_state_dict(optimizer.state_dict(), 1)


@pytest.mark.parametrize("config", [SGD, ADAMW], ids=lambda config: config.name)
def test_parameters_without_a_gradient_and_frozen_ones_are_unchanged(config):
    used, unused, frozen = (nn.Parameter(torch.ones(2), requires_grad=number < 2) for number in range(3))
    optimizer = build_optimizer([used, unused, frozen], config)
    used.grad = torch.ones(2)
    frozen.grad = torch.ones(2)
    optimizer.step()

    assert used.tolist() != [1, 1]
    assert unused.tolist() == frozen.tolist() == [1, 1]
    optimizer.zero_grad()
    assert used.grad is None


def test_sgd_without_momentum_has_no_state():
    parameters = make_parameters()
    optimizer = build_optimizer(parameters, OptimizerSection(name="sgd", learning_rate=0.5, momentum=0.0))
    before = parameters[1].detach().clone()
    set_gradients(parameters, 0)
    optimizer.step()

    assert torch.equal(parameters[1], before - 0.5 * parameters[1].grad)
    assert optimizer.state_dict() == {}
