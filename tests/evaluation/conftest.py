import numpy as np
import pytest


@pytest.fixture
def outcome():
    """Return a function that generates random probabilities and labels."""

    def make(seed, n=60, classes=4):
        random = np.random.default_rng(seed)
        labels = random.integers(0, classes, n)
        logits = random.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return probabilities.astype(np.float32), labels

    return make
