"""Our four networks, and how they are trained, held against Keras."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import ks_2samp

from tinysight.models import summary
from tinysight.models.registry import build
from tinysight.recipes.schema import Optimiser
from tinysight.training import optimisers


def batches(count, size):
    random = np.random.default_rng(1)
    return [(random.random((size, 3, 32, 32), np.float32), random.integers(0, 10, size)) for _ in range(count)]


def described(layer):
    """What our summary says of a Keras layer."""
    activation = f" ({layer.activation.__name__})" if type(layer).__name__ == "Activation" else ""
    shape = ", ".join(str(size) for size in layer.output.shape[1:])
    return summary.Row(type(layer).__name__ + activation, f"(n, {shape})", layer.count_params())


def test_the_summary_has_the_layers_shapes_and_counts_of_keras(name, keras_network):
    rows = summary.rows(build(name, 10, 32), 32)

    assert rows == [described(layer) for layer in keras_network(name).layers]


def test_fresh_weights_are_distributed_as_in_keras(name, keras_network, as_keras_weights):
    torch.manual_seed(0)
    ours, theirs = as_keras_weights(build(name, 10, 32)), keras_network(name).get_weights()

    assert [weights.shape for weights in ours] == [weights.shape for weights in theirs]
    for our, their in zip(ours, theirs, strict=True):
        if our.ndim == 1:
            assert not our.any()
            assert not their.any()
        else:
            assert ks_2samp(our.ravel(), their.ravel()).pvalue > 1e-4


def test_the_same_weights_give_the_same_probabilities_as_in_keras(name, keras_network, as_keras_weights):
    ours, theirs = build(name, 10, 32).eval(), keras_network(name)
    theirs.set_weights(as_keras_weights(ours))
    ((images, _),) = batches(1, 20)

    with torch.inference_mode():
        found = ours(torch.from_numpy(images)).softmax(1).numpy()
    expected = theirs.predict_on_batch(images.transpose(0, 2, 3, 1))

    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("optimiser", ["rmsprop", "adam"])
def test_twenty_steps_have_the_losses_of_keras(name, optimiser, keras, keras_network, as_keras_weights):
    torch.manual_seed(0)
    ours, theirs = build(name, 10, 32).eval(), keras_network(name)  # eval: no dropout
    theirs = keras.Sequential([layer for layer in theirs.layers if type(layer).__name__ != "Dropout"])
    theirs.set_weights(as_keras_weights(ours))
    theirs.compile(
        {"rmsprop": keras.optimizers.RMSprop(), "adam": keras.optimizers.Adam()}[optimiser],
        keras.losses.SparseCategoricalCrossentropy(),
    )
    stepper = optimisers.build(ours.parameters(), Optimiser(name=optimiser))

    found, expected = [], []
    for images, labels in batches(20, 16):
        theirs.reset_metrics()
        expected.append(theirs.train_on_batch(images.transpose(0, 2, 3, 1), labels))
        found.append(our_step(ours, stepper, images, labels))

    np.testing.assert_allclose(found, expected, atol=1e-4)


def our_step(network, optimiser, images, labels):
    loss = F.cross_entropy(network(torch.from_numpy(images)), torch.from_numpy(labels))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()
