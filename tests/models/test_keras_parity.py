"""The notebook networks and their training match Keras."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import log_softmax
from scipy.stats import ks_2samp

from tinysight.models import summary
from tinysight.models.registry import build_network
from tinysight.recipes.schema import ModelSection, OptimizerSection
from tinysight.training import optimizers

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# Keras rounds these to float32 at any precision, so they must be exact in float32.
EXACT = {
    "rmsprop": {"learning_rate": 2**-10},
    "adam": {"learning_rate": 2**-10, "beta_1": 1 - 2**-3, "beta_2": 1 - 2**-10},
}


def batches(count, size):
    """Random images, exact in float32, and labels."""
    random = np.random.default_rng(1)
    return [(random.random((size, 3, 32, 32), np.float32), random.integers(0, 10, size)) for _ in range(count)]


def expected_row(layer):
    """The summary row of a Keras layer."""
    activation = f" ({layer.activation.__name__})" if type(layer).__name__ == "Activation" else ""
    shape = ", ".join(str(size) for size in layer.output.shape[1:])
    return summary.LayerRow(type(layer).__name__ + activation, f"(n, {shape})", layer.count_params())


def test_summary_matches_keras(name, keras_network):
    rows = summary.layer_table(build_network(ModelSection(architecture=name), 10, 32), 32)

    assert rows == [expected_row(layer) for layer in keras_network(name).layers]


def test_initial_weights_have_the_distribution_of_keras(name, keras_network, as_keras_weights):
    torch.manual_seed(0)
    ours, theirs = (
        as_keras_weights(build_network(ModelSection(architecture=name), 10, 32)),
        keras_network(name).get_weights(),
    )

    assert [weights.shape for weights in ours] == [weights.shape for weights in theirs]
    for weights, keras_weights in zip(ours, theirs, strict=True):
        if weights.ndim == 1:
            assert not weights.any()
            assert not keras_weights.any()
        else:
            assert ks_2samp(weights.ravel(), keras_weights.ravel()).pvalue > 1e-4


def test_same_weights_give_the_probabilities_of_keras(name, keras_network, as_keras_weights):
    ours, theirs = build_network(ModelSection(architecture=name), 10, 32).eval(), keras_network(name)
    theirs.set_weights(as_keras_weights(ours))
    ((images, _),) = batches(1, 20)

    with torch.inference_mode():
        probabilities = ours(torch.from_numpy(images)).softmax(1).numpy()
    expected = theirs.predict_on_batch(images.transpose(0, 2, 3, 1))

    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_optimizer_defaults_match_keras(keras):
    theirs = {"rmsprop": keras.optimizers.RMSprop(), "adam": keras.optimizers.Adam()}

    for optimizer, expected in theirs.items():
        ours = OptimizerSection(name=optimizer).model_dump()
        for key in {"learning_rate", "rho", "beta_1", "beta_2", "epsilon"} & expected.get_config().keys():
            assert ours[key] == pytest.approx(expected.get_config()[key]), key


@pytest.fixture
def in_float64(keras):
    """Keras computing in float64.

    In float32, rounding changes the sign of some ReLU inputs. Within 20 steps, the losses then differ in the second
    digit even for equal formulas.
    """
    _set_precision(keras, "float64")
    yield
    _set_precision(keras, "float32")


def _set_precision(keras, dtype):
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("optimizer", ["rmsprop", "adam"])
def test_steps_match_keras(name, optimizer, keras, keras_network, as_keras_weights):
    torch.manual_seed(0)
    ours = build_network(ModelSection(architecture=name), 10, 32).double().eval()  # eval: no dropout
    # Loss from logits, as the TensorFlow backend of Keras trains any final softmax layer.
    theirs = keras.Sequential([layer for layer in keras_network(name).layers[:-1] if "Dropout" not in str(type(layer))])
    theirs.set_weights(as_keras_weights(ours))
    their_optimiser = {"rmsprop": keras.optimizers.RMSprop, "adam": keras.optimizers.Adam}[optimizer]
    theirs.compile(their_optimiser(**EXACT[optimizer]), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    our_optimiser = optimizers.build_optimizer(ours.parameters(), OptimizerSection(name=optimizer, **EXACT[optimizer]))

    for images, labels in batches(6, 8):
        inputs = images.transpose(0, 2, 3, 1)
        logits = theirs(inputs).detach().numpy().astype(np.float64)
        expected = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean()
        theirs.train_on_batch(inputs, labels)  # it returns the loss in float32, which is too coarse for large losses
        # Dense layers of Keras on torch multiply in float32, also here: large losses differ in the seventh digit.
        assert train_step(ours, our_optimiser, images, labels) == pytest.approx(expected, rel=5e-7, abs=1e-6)
        weights = as_keras_weights(ours)
        for weight, keras_weight in zip(weights, theirs.get_weights(), strict=True):
            np.testing.assert_allclose(weight, keras_weight, rtol=0, atol=1e-6)
        theirs.set_weights(weights)  # rounding would otherwise grow from step to step, differently on each processor


def train_step(network, optimizer, images, labels):
    loss = F.cross_entropy(network(torch.from_numpy(images).double()), torch.from_numpy(labels))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
