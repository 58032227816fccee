import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from tinysight.training.temperature_scaling import MAX_TEMPERATURE, MIN_TEMPERATURE, fit_temperature


def loss(logits, labels, temperature):
    """Return the summed cross-entropy, including one pseudo-image with a uniform label."""
    losses = -log_softmax(logits / temperature, axis=1)
    return losses[np.arange(len(labels)), labels].sum() + losses.mean()


def noisy(seed, spread):
    """Return logits (200, 4), correct more often than not, and the labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, 200)
    return spread * (2 * np.eye(4)[labels] + random.normal(size=(200, 4))), labels


@given(seed=st.integers(0, 1000), spread=st.floats(0.1, 10))
def test_it_minimizes_the_loss(seed, spread):
    logits, labels = noisy(seed, spread)
    best = minimize_scalar(lambda log: loss(logits, labels, np.exp(log)), bounds=(-4, 4), method="bounded")

    temperature = fit_temperature(torch.from_numpy(logits), torch.from_numpy(labels))

    assert temperature == pytest.approx(np.exp(best.x), rel=1e-3)


def test_doubled_logits_double_the_temperature():
    logits, labels = (torch.from_numpy(array) for array in noisy(0, 1.0))

    assert fit_temperature(2 * logits, labels) == pytest.approx(2 * fit_temperature(logits, labels))


def test_a_few_correct_predictions_do_not_give_full_confidence():
    logits = torch.tensor([[100.0, 0.0], [0.0, 100.0]])
    temperature = fit_temperature(logits, torch.tensor([0, 1]))

    confidence = (logits / temperature).softmax(1).max().item()
    assert confidence == pytest.approx(5 / 6)  # one of three images has a uniform label: half of a third is wrong


def test_only_wrong_predictions_give_the_upper_bound():
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0]])

    assert fit_temperature(logits, torch.tensor([1, 0])) == pytest.approx(MAX_TEMPERATURE)


def test_many_correct_predictions_give_the_lower_bound():
    logits = torch.tensor([[0.01, 0.0], [0.0, 0.01]]).repeat(5000, 1)

    assert fit_temperature(logits, torch.tensor([0, 1] * 5000)) == pytest.approx(MIN_TEMPERATURE)


def test_logits_without_information_give_the_lower_bound():
    assert fit_temperature(torch.zeros(10, 3), torch.zeros(10, dtype=torch.int64)) == MIN_TEMPERATURE
