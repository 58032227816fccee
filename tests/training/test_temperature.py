import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from tinysight.training.temperature import HIGHEST, LOWEST, fit_temperature


def loss(logits, labels, temperature):
    """Return the summed cross-entropy, one image more that is of every class alike included."""
    found = -log_softmax(logits / temperature, axis=1)
    return found[np.arange(len(labels)), labels].sum() + found.mean()


def noisy(seed, spread):
    """Return logits (200, 4) that point at the right class more often than not, and the labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, 200)
    return spread * (2 * np.eye(4)[labels] + random.normal(size=(200, 4))), labels


@given(seed=st.integers(0, 1000), spread=st.floats(0.1, 10))
def test_it_is_where_the_loss_is_least(seed, spread):
    logits, labels = noisy(seed, spread)
    best = minimize_scalar(lambda log: loss(logits, labels, np.exp(log)), bounds=(-4, 4), method="bounded")

    found = fit_temperature(torch.from_numpy(logits), torch.from_numpy(labels))

    assert found == pytest.approx(np.exp(best.x), rel=1e-3)


def test_logits_twice_as_large_want_twice_the_temperature():
    logits, labels = (torch.from_numpy(part) for part in noisy(0, 1.0))

    assert fit_temperature(2 * logits, labels) == pytest.approx(2 * fit_temperature(logits, labels))


def test_right_about_a_few_is_not_sure_of_all():
    logits = torch.tensor([[100.0, 0.0], [0.0, 100.0]])
    temperature = fit_temperature(logits, torch.tensor([0, 1]))

    sure = (logits / temperature).softmax(1).max().item()
    assert sure == pytest.approx(5 / 6)  # one image in three is as good as thrown: half of a third is wrong


def test_always_wrong_ends_at_the_upper_bound():
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0]])

    assert fit_temperature(logits, torch.tensor([1, 0])) == pytest.approx(HIGHEST)


def test_right_beyond_any_doubt_ends_at_the_lower_bound():
    logits = torch.tensor([[0.01, 0.0], [0.0, 0.01]]).repeat(5000, 1)

    assert fit_temperature(logits, torch.tensor([0, 1] * 5000)) == pytest.approx(LOWEST)
