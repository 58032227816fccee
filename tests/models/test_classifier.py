import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinysight.models.classifier import Classifier, Normalisation, batch_size, lead, overrated
from tinysight.models.registry import build
from tinysight.models.views import tta
from tinysight.recipes.schema import Model

SIMPLE = Model(architecture="simple")


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return Classifier(SIMPLE, build(SIMPLE, 3, 8), ("a", "b", "c"), 8, Normalisation())


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


def test_tta_of_a_network_that_has_seen_moved_images_averages_moved_views_too(classifier, pixels):
    moved = with_(classifier, tta_shift=1)
    logits = sum(weight * classifier.logits(pixels, view).numpy() for view, weight in tta(1).items())

    np.testing.assert_allclose(moved.probabilities(pixels, tta=True), softmax(logits), atol=1e-6)
    np.testing.assert_array_equal(moved.probabilities(pixels), classifier.probabilities(pixels))


def test_a_network_that_was_training_predicts_without_dropout_and_leaves_the_images_alone(classifier, pixels):
    before = pixels.copy()
    classifier.network.train()

    np.testing.assert_array_equal(classifier.probabilities(pixels), classifier.probabilities(pixels))
    np.testing.assert_array_equal(pixels, before)


@pytest.fixture
def native(monkeypatch):
    """Return a function that says whether the processor has bfloat16."""
    return lambda there: monkeypatch.setattr("tinysight.models.classifier.native_bf16", lambda: there)


def test_answers_that_are_unclear_in_bfloat16_are_those_of_float32(classifier, pixels, native):
    native(True)
    exact = classifier.logits(pixels)
    middle = lead(exact).median().item()
    found = with_(classifier, doubt=middle).logits(pixels)

    same = (found == exact).all(1)
    assert 0.4 < same.float().mean() < 0.6
    assert (lead(found)[~same] >= middle).all()
    torch.testing.assert_close(found, exact, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(("doubt", "there"), [(None, True), (0.0, False)])
def test_bfloat16_is_left_alone_where_it_was_not_tried_or_is_not_there(classifier, pixels, native, doubt, there):
    native(there)
    assert torch.equal(with_(classifier, doubt=doubt).logits(pixels), classifier.logits(pixels))


def test_no_images_have_no_probabilities(classifier, pixels):
    assert classifier.probabilities(pixels[:0]).shape == (0, 3)


@given(seed=st.integers(0, 100), dark=st.integers(0, 150), light=st.integers(180, 255))
def test_standardised_images_have_mean_0_and_standard_deviation_1(seed, dark, light):
    pixels = np.random.default_rng(seed).integers(dark, light, (20, 3, 9, 7), dtype=np.uint8)
    normalisation = Normalisation.standardising(np.array_split(pixels, 3))

    found = normalisation(torch.from_numpy(pixels).float()).double()

    torch.testing.assert_close(found.mean((0, 2, 3)), torch.zeros(3).double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.std((0, 2, 3), correction=0), torch.ones(3).double(), atol=1e-4, rtol=0)


def test_images_of_one_grey_level_are_standardised_to_nothing():
    pixels = np.full((2, 3, 4, 4), 77, np.uint8)
    assert Normalisation.standardising([pixels])(torch.from_numpy(pixels).float()).abs().max() < 1e-4


def test_an_answer_that_is_wrong_in_bfloat16_is_overrated_by_both_leads_together():
    exact = torch.tensor([[3.0, 1.0, 0.0], [0.2, 0.5, 0.0]])
    rough = torch.tensor([[3.1, 1.0, 0.0], [0.6, 0.5, 0.0]])
    assert overrated(rough, exact) == pytest.approx(0.1 + 0.3)


@given(seed=st.integers(0, 1000), noise=st.floats(0, 2))
def test_answers_that_lead_by_more_than_is_overrated_are_right(seed, noise):
    random = torch.Generator().manual_seed(seed)
    exact = torch.randn(50, 4, generator=random)
    rough = exact + noise * torch.randn(50, 4, generator=random)
    clear = lead(rough) > overrated(rough, exact)
    assert torch.equal(rough[clear].argmax(1), exact[clear].argmax(1))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_a_number_is_no_measure_of_doubt(bad):
    assert overrated(torch.full((2, 3), bad), torch.zeros(2, 3)) is None
