"""Networks of keras.applications give the predictions of Keras after import."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("h5py")
pytest.importorskip("keras")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # raised inside Keras
    pytest.mark.filterwarnings("ignore::UserWarning"),  # .h5 is legacy
]


@pytest.fixture
def benchmark(monkeypatch):
    """benchmarks/keras_applications.py as a module."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    monkeypatch.delitem(sys.modules, "keras_applications", raising=False)
    import keras_applications

    return keras_applications


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "DenseNet121", "EfficientNetB0"])
def test_application_gives_the_probabilities_of_keras(benchmark, name, tmp_path):
    _, expected = benchmark.application(name)
    assert np.ptp(expected, axis=0).max() > 0.1
    for suffix in ("keras", "h5"):
        assert benchmark.largest_difference(name, suffix, tmp_path) < 1e-4
