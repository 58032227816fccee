import numpy as np
import pytest
import torch

from tinysight.models.classifier import Classifier, Normalisation, batch_size
from tinysight.models.registry import build


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return Classifier("simple", build("simple", 3, 8), ("a", "b", "c"), 8, Normalisation())


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (batch_size(8) + 7, 3, 8, 8), np.uint8)


def with_(classifier, **changes):
    return Classifier(**(vars(classifier) | changes))


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_every_row_of_probabilities_sums_to_one_and_is_that_of_its_image(classifier, pixels):
    found = classifier.probabilities(pixels)

    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)
    for i in (0, batch_size(8) - 1, batch_size(8), len(pixels) - 1):
        np.testing.assert_allclose(found[i : i + 1], classifier.probabilities(pixels[i : i + 1]), rtol=1e-5)


def test_the_network_sees_normalised_pixels(classifier, pixels):
    mean, std = (10.0, 20.0, 30.0), (50.0, 60.0, 70.0)
    normalised = (pixels.astype(np.float32) - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    with torch.inference_mode():
        expected = classifier.network.eval()(torch.from_numpy(normalised).float())

    found = with_(classifier, normalisation=Normalisation(mean, std)).logits(pixels)

    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_unless_told_otherwise_pixels_are_divided_by_255(classifier, pixels):
    with torch.inference_mode():
        expected = classifier.network.eval()(torch.from_numpy(pixels / np.float32(255)))

    np.testing.assert_allclose(classifier.logits(pixels), expected, atol=1e-5)


def test_temperature_divides_the_logits(classifier, pixels):
    expected = softmax(classifier.logits(pixels).numpy() / 2.5)

    np.testing.assert_allclose(with_(classifier, temperature=2.5).probabilities(pixels), expected, atol=1e-6)


def test_tta_averages_the_logits_of_an_image_and_its_mirror_image(classifier, pixels):
    mirrored = np.ascontiguousarray(pixels[..., ::-1])
    expected = softmax((classifier.logits(pixels).numpy() + classifier.logits(mirrored).numpy()) / 2)

    np.testing.assert_allclose(classifier.probabilities(pixels, tta=True), expected, atol=1e-6)
    assert not np.allclose(classifier.probabilities(pixels), expected, atol=1e-3)


def test_a_network_that_was_training_predicts_without_dropout_and_leaves_the_images_alone(classifier, pixels):
    before = pixels.copy()
    classifier.network.train()

    np.testing.assert_array_equal(classifier.probabilities(pixels), classifier.probabilities(pixels))
    np.testing.assert_array_equal(pixels, before)


def test_no_images_have_no_probabilities(classifier, pixels):
    assert classifier.probabilities(pixels[:0]).shape == (0, 3)
