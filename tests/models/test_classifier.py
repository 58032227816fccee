import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinysight.models.classifier import (
    Classifier,
    ClassifierSpec,
    Normalization,
    batch_size,
    iter_batches,
    max_margin_error,
    top2_margin,
)
from tinysight.models.registry import build_network
from tinysight.models.tta import tta_views
from tinysight.recipes.schema import ModelSection

SIMPLE = ModelSection(architecture="simple")


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return Classifier(
        ClassifierSpec(model=SIMPLE, class_names=("a", "b", "c"), image_size=8), build_network(SIMPLE, 3, 8)
    )


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (batch_size(8) + 7, 3, 8, 8), np.uint8)


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_probabilities_sum_to_one_and_do_not_depend_on_the_batch(classifier, pixels):
    probabilities = classifier.probabilities(pixels)

    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    for i in (0, batch_size(8) - 1, batch_size(8), len(pixels) - 1):
        np.testing.assert_allclose(probabilities[i : i + 1], classifier.probabilities(pixels[i : i + 1]), rtol=1e-5)


def test_network_input_is_normalized(classifier, pixels):
    mean, std = (10.0, 20.0, 30.0), (50.0, 60.0, 70.0)
    normalized = (pixels.astype(np.float32) - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    with torch.inference_mode():
        expected = classifier.network.eval()(torch.from_numpy(normalized).float())

    logits = classifier.with_spec(mean=mean, std=std).logits(pixels)

    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_default_normalization_divides_by_255(classifier, pixels):
    with torch.inference_mode():
        expected = classifier.network.eval()(torch.from_numpy(pixels / np.float32(255)))

    np.testing.assert_allclose(classifier.logits(pixels), expected, atol=1e-5)


def test_temperature_divides_the_logits(classifier, pixels):
    expected = softmax(classifier.logits(pixels).numpy() / 2.5)

    np.testing.assert_allclose(classifier.with_spec(temperature=2.5).probabilities(pixels), expected, atol=1e-6)


def test_tta_averages_the_logits_of_an_image_and_its_horizontal_flip(classifier, pixels):
    flipped = np.ascontiguousarray(pixels[..., ::-1])
    expected = softmax((classifier.logits(pixels).numpy() + classifier.logits(flipped).numpy()) / 2)

    np.testing.assert_allclose(classifier.probabilities(pixels, tta=True), expected, atol=1e-6)
    assert not np.allclose(classifier.probabilities(pixels), expected, atol=1e-3)


def test_tta_with_a_shift_also_averages_shifted_views(classifier, pixels):
    shifted = classifier.with_spec(tta_shift=1)
    logits = sum(weight * classifier.logits(pixels, view).numpy() for view, weight in tta_views(1).items())

    np.testing.assert_allclose(shifted.probabilities(pixels, tta=True), softmax(logits), atol=1e-6)
    np.testing.assert_array_equal(shifted.probabilities(pixels), classifier.probabilities(pixels))


def test_prediction_disables_dropout_and_does_not_modify_the_images(classifier, pixels):
    before = pixels.copy()
    classifier.network.train()

    np.testing.assert_array_equal(classifier.probabilities(pixels), classifier.probabilities(pixels))
    np.testing.assert_array_equal(pixels, before)


@pytest.fixture
def native(monkeypatch):
    """A function that sets whether the CPU supports bfloat16."""
    return lambda supported: monkeypatch.setattr("tinysight.models.classifier.native_bf16", lambda: supported)


def test_small_margins_in_bfloat16_are_predicted_again_in_float32(classifier, pixels, native):
    native(True)
    exact = classifier.logits(pixels)
    median = top2_margin(exact).median().item()
    logits = classifier.with_spec(bf16_margin=median).logits(pixels)

    # Not bit for bit: float32 rounds differently in batches of other sizes. bfloat16 differs a thousand times more.
    same = torch.isclose(logits, exact, rtol=0, atol=1e-6).all(1)
    assert 0.4 < same.float().mean() < 0.6
    assert (top2_margin(logits)[~same] >= median).all()
    torch.testing.assert_close(logits, exact, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(("margin", "supported"), [(None, True), (0.0, False)])
def test_bfloat16_is_not_used_if_uncalibrated_or_unsupported(classifier, pixels, native, margin, supported):
    native(supported)
    assert torch.equal(classifier.with_spec(bf16_margin=margin).logits(pixels), classifier.logits(pixels))


def test_empty_input_gives_empty_probabilities(classifier, pixels):
    assert classifier.probabilities(pixels[:0]).shape == (0, 3)


@given(seed=st.integers(0, 100), dark=st.integers(0, 150), light=st.integers(180, 255))
def test_fitted_normalization_gives_mean_0_and_standard_deviation_1(seed, dark, light):
    pixels = np.random.default_rng(seed).integers(dark, light, (20, 3, 9, 7), dtype=np.uint8)
    normalization = Normalization.fit(np.array_split(pixels, 3))

    normalized = normalization(torch.from_numpy(pixels).float()).double()

    torch.testing.assert_close(normalized.mean((0, 2, 3)), torch.zeros(3).double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(normalized.std((0, 2, 3), correction=0), torch.ones(3).double(), atol=1e-4, rtol=0)


def test_constant_images_are_normalized_to_zero():
    pixels = np.full((2, 3, 4, 4), 77, np.uint8)
    assert Normalization.fit([pixels])(torch.from_numpy(pixels).float()).abs().max() < 1e-4


def test_margin_error_of_a_changed_class_is_the_sum_of_both_margins():
    exact = torch.tensor([[3.0, 1.0, 0.0], [0.2, 0.5, 0.0]])
    rough = torch.tensor([[3.1, 1.0, 0.0], [0.6, 0.5, 0.0]])
    assert max_margin_error(rough, exact) == pytest.approx(0.1 + 0.3)


@given(seed=st.integers(0, 1000), noise=st.floats(0, 2))
def test_margins_above_the_largest_margin_error_keep_the_class(seed, noise):
    random = torch.Generator().manual_seed(seed)
    exact = torch.randn(50, 4, generator=random)
    rough = exact + noise * torch.randn(50, 4, generator=random)
    clear = top2_margin(rough) > max_margin_error(rough, exact)
    assert torch.equal(rough[clear].argmax(1), exact[clear].argmax(1))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_margin_error_of_nonfinite_logits_is_none(bad):
    assert max_margin_error(torch.full((2, 3), bad), torch.zeros(2, 3)) is None


@pytest.mark.parametrize(("size", "counts"), [(32, [512, 512, 6]), (64, [128] * 8 + [6])])
def test_batches_hold_equally_many_pixels_and_keep_the_order(size, counts):
    pixels = np.zeros((sum(counts), 3, size, size), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(len(pixels)) % 251
    batches = list(iter_batches(pixels))
    assert [len(batch) for batch in batches] == counts
    assert np.array_equal(np.concatenate(batches), pixels)
    assert list(iter_batches(pixels[:0])) == []


def test_with_spec_changes_only_the_named_values(classifier):
    changed = classifier.with_spec(temperature=2, abstain_below=0.9)
    assert changed.network is classifier.network
    assert (changed.spec.temperature, changed.abstain_below) == (2, 0.9)
    assert changed.with_spec(temperature=1, abstain_below=0.5) == classifier


@pytest.mark.parametrize(
    "change",
    [{"temperature": float("nan")}, {"temperature": 0}, {"abstain_below": -1}, {"class_names": ("a",)}, {"x": 1}],
)
def test_specification_is_validated_at_once(classifier, change):
    with pytest.raises(ValueError, match=next(iter(change))):
        classifier.with_spec(**change)


def test_classifier_has_the_values_of_its_specification(classifier):
    spec = classifier.spec
    assert (classifier.class_names, classifier.image_size) == (spec.class_names, spec.image_size)
    assert (classifier.abstain_below, classifier.notes, classifier.crops) == (
        spec.abstain_below,
        spec.notes,
        spec.crops,
    )
