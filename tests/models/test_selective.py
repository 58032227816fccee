"""Abstention thresholds keep their promise; risk-coverage curves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, binomtest

from tinysight.models.selective import (
    ALWAYS_ABSTAIN,
    Promise,
    apply_threshold,
    area_under_risk_coverage,
    choose_threshold,
    images_needed,
    lowest_target,
    risk_coverage,
)


@st.composite
def predictions(draw):
    """Confidences with ties, and whether each prediction is correct."""
    n = draw(st.integers(1, 40))
    confidences = draw(arrays(np.float32, n, elements=st.sampled_from([0.1, 0.2, 0.5, 0.7, 0.9, 1.0])))
    return confidences, draw(arrays(np.bool_, n))


def lowest_passing_threshold(confidences, correct, target):
    """Fixed-sequence testing from one start, written as loops, with SciPy's binomial test."""
    first = next(n for n in range(1, 10_000) if binomtest(0, n, target, "less").pvalue <= 0.05)
    lowest = None
    for threshold in np.unique(confidences)[::-1]:
        answered = confidences >= threshold
        if answered.sum() < first:
            continue
        if binomtest(int((answered & ~correct).sum()), int(answered.sum()), target, "less").pvalue > 0.05:
            break
        lowest = float(threshold)
    return lowest


@given(st.integers(0, 2**32 - 1), st.integers(1, 143), st.sampled_from([10, 1000]), st.floats(0.9, 1))
@settings(deadline=None)
def test_threshold_of_a_few_images_equals_fixed_sequence_testing(seed, n, levels, accuracy):
    """With less than 144 images and a target of 5%, there is one start."""
    random = np.random.default_rng(seed)
    confidences = random.integers(1, levels, n) / levels  # with ties
    correct = random.random(n) < accuracy + (1 - accuracy) * confidences
    chosen = choose_threshold(confidences, correct, 0.05)
    expected = lowest_passing_threshold(confidences, correct, 0.05)
    assert chosen.threshold == (expected or ALWAYS_ABSTAIN)
    assert apply_threshold(confidences, correct, chosen.threshold) == chosen


@given(predictions(), st.sampled_from([0.01, 0.05, 0.3, 0.9]))
def test_upper_bound_of_the_error_is_at_most_the_target(predictions, target):
    """The bound is that of Clopper and Pearson."""
    confidences, correct = predictions
    chosen = choose_threshold(confidences, correct, target)
    if chosen.n_covered:
        test = binomtest(chosen.n_wrong, chosen.n_covered, alternative="less")
        assert test.proportion_ci(0.95, "exact").high <= target * (1 + 1e-9)
    else:
        assert (chosen.threshold, chosen.error) == (ALWAYS_ABSTAIN, 0)


@pytest.mark.parametrize(("target", "needed"), [(0.05, 59), (0.01, 299), (0.1, 29), (0.5, 5), (0.9, 2)])
def test_images_needed_for_a_promise(target, needed):
    """The rule of three: without a mistake in 59 images, the error is at most 5%."""
    assert images_needed(target) == needed
    confidences = np.linspace(0.5, 1, needed)
    assert choose_threshold(confidences, np.full(needed, True), target).threshold == 0.5
    fewer = choose_threshold(confidences[1:], np.full(needed - 1, True), target)
    assert fewer.threshold == ALWAYS_ABSTAIN


@given(st.integers(1, 5000))
def test_lowest_target_can_be_promised_and_a_smaller_one_cannot(n):
    lowest = lowest_target(n)
    assert lowest == 0.99 or images_needed(lowest) <= n
    assert images_needed(lowest * 0.9) > n


def error_above(threshold, exponent):
    """The error of the population: confidences are uniform on 0.5..1, and c ** exponent of them are correct at c."""
    primitive = (1 - threshold ** (exponent + 1)) / (exponent + 1)
    return 1 - primitive / (1 - threshold)


@pytest.mark.parametrize("exponent", [0.2, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("n", [20, 60, 300, 2000])
def test_the_promise_is_kept_in_95_percent_of_draws(n, exponent):
    random, broken, draws = np.random.default_rng(n), 0, 300
    for _ in range(draws):
        confidences = random.uniform(0.5, 1, n)
        correct = random.random(n) < confidences**exponent
        threshold = choose_threshold(confidences, correct, 0.1).threshold
        broken += threshold < 1 and error_above(threshold, exponent) > 0.1
    assert broken <= binom.ppf(0.999, draws, 0.05)


def test_coverage_approaches_the_best_with_many_images():
    """The error of confident images is at most 10% above 0.8; a single mistake with high confidence changes little."""
    random = np.random.default_rng(0)
    confidences = random.uniform(0.5, 1, 20_000)
    correct = random.random(20_000) < confidences
    correct[np.argmax(confidences)] = False
    assert 0.8 < choose_threshold(confidences, correct, 0.1).threshold < 0.84


@pytest.mark.parametrize(
    ("promise", "threshold", "sentence"),
    [
        (
            Promise(0.05, 1900),
            0.8,
            "The threshold was chosen on 1,900 validation images so that at most 5.0% of the predictions that are not "
            "unsure are wrong (with 95% confidence).",
        ),
        (
            Promise(0.05, 24),
            ALWAYS_ABSTAIN,
            "All predictions are unsure: no threshold can promise at most 5.0% wrong predictions with 24 validation "
            "images; at least 59 are needed. Use more images, or set training.target_error to 0.12 or more.",
        ),
        (
            Promise(0.05, 59),
            ALWAYS_ABSTAIN,
            "All predictions are unsure: on 59 validation images, no threshold keeps at most 5.0% wrong predictions "
            "with 95% confidence. Train a more accurate classifier, or increase training.target_error.",
        ),
    ],
)
def test_promises_in_words(promise, threshold, sentence):
    assert promise.describe(threshold) == sentence


@given(predictions())
def test_risk_coverage_curve_ends_at_full_coverage(predictions):
    confidences, correct = predictions
    thresholds, coverage, error = risk_coverage(confidences, correct)

    assert list(thresholds) == sorted(set(confidences.tolist()), reverse=True)
    assert coverage[-1] == 1
    assert error[-1] == pytest.approx((~correct).mean())


def test_aurc_is_lower_for_informative_confidences():
    correct = np.arange(100) >= 20
    informative, constant = correct * 0.5 + 0.4, np.full(100, 0.9)
    assert area_under_risk_coverage(informative, correct) < 0.05
    assert area_under_risk_coverage(constant, correct) == pytest.approx(0.2)


# Four images in order of confidence: correct, wrong, correct, correct. Two have the same confidence.
CONFIDENCES = np.array([0.5, 0.9, 0.7, 0.7])
CORRECT = np.array([True, True, False, True])


def test_risk_coverage_curve_equals_the_one_computed_by_hand():
    thresholds, coverage, error = risk_coverage(CONFIDENCES, CORRECT)
    assert thresholds.tolist() == [0.9, 0.7, 0.5]
    assert coverage.tolist() == [0.25, 0.75, 1.0]
    assert error.tolist() == pytest.approx([0, 1 / 3, 1 / 4])


def test_area_under_the_curve_equals_the_one_computed_by_hand():
    expected = 0.25 * 0 + 0.5 * (1 / 3) + 0.25 * (1 / 4)
    assert area_under_risk_coverage(CONFIDENCES, CORRECT) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("threshold", "coverage", "error"), [(0.0, 1.0, 0.25), (0.7, 0.75, 1 / 3), (0.71, 0.25, 0.0), (0.91, 0.0, 0.0)]
)
def test_threshold_accepts_confidences_equal_to_it(threshold, coverage, error):
    result = apply_threshold(CONFIDENCES, CORRECT, threshold)
    assert result.threshold == threshold
    assert (result.coverage, result.error) == pytest.approx((coverage, error))
