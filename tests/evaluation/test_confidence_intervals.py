"""Wilson and bootstrap intervals: agreement with SciPy, coverage and seeding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from scipy.stats import bootstrap as scipy_bootstrap
from sklearn.metrics import precision_recall_fscore_support

from tinysight.evaluation.calibration import expected_calibration_error
from tinysight.evaluation.confidence_intervals import METHOD, bootstrap, bootstrap_intervals, wilson_interval


@st.composite
def outcomes(draw):
    trials = draw(st.integers(1, 100_000))
    return draw(st.integers(0, trials)), trials


@given(outcomes(), st.sampled_from([0.8, 0.95, 0.99]))
@settings(deadline=None)
def test_wilson_interval_equals_scipy(outcome, confidence):
    reference = binomtest(*outcome).proportion_ci(confidence_level=confidence, method="wilson")

    assert wilson_interval(*outcome, confidence) == pytest.approx(tuple(reference), rel=1e-9, abs=1e-12)


@given(outcomes())
@settings(deadline=None)
def test_wilson_interval_contains_proportion_and_stays_in_0_1(outcome):
    low, high = wilson_interval(*outcome)

    assert 0 <= low <= outcome[0] / outcome[1] <= high <= 1
    assert low < high


def test_wilson_interval_of_10000_images():
    low, high = wilson_interval(6519, 10_000)

    assert (low, high) == (pytest.approx(0.6425, abs=5e-5), pytest.approx(0.6612, abs=5e-5))


def mean_of(values):
    return lambda counts: np.array([(counts * values).sum() / counts.sum()])


def test_matches_scipy_bootstrap():
    values = np.random.default_rng(0).gamma(2, size=400)
    reference = scipy_bootstrap((values,), np.mean, method="percentile", rng=1).confidence_interval
    low, high = bootstrap(mean_of(values), len(values))
    assert abs(low[0] - reference.low) < 0.02
    assert abs(high[0] - reference.high) < 0.02


def test_coverage_is_95_percent():
    random, covered = np.random.default_rng(1), 0
    for seed in range(200):
        values = random.exponential(size=300)
        low, high = bootstrap(mean_of(values), len(values), seed, resamples=400)
        covered += low[0] <= 1 <= high[0]
    assert 178 <= covered <= 199


def test_interval_depends_only_on_seed():
    values = np.arange(50.0)
    assert bootstrap(mean_of(values), 50, seed=3) == bootstrap(mean_of(values), 50, seed=3)
    assert bootstrap(mean_of(values), 50, seed=3) != bootstrap(mean_of(values), 50, seed=4)


def test_default_confidence_is_95_percent():
    """By the formula, with the 97.5% quantile of the normal distribution."""
    z, p, n = 1.959963984540054, 0.8, 50
    center = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    margin = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    assert wilson_interval(40, 50) == pytest.approx((center - margin, center + margin), abs=1e-12)


def draws(n, resamples=1000, seed=0):
    """The images of each resample, (resamples, n)."""
    random = np.random.default_rng(seed)
    return np.stack([random.integers(0, n, n) for _ in range(resamples)])


def test_bounds_are_the_percentiles_of_the_resampled_statistics():
    values = np.random.default_rng(0).exponential(size=40)
    for seed, resamples in ((0, 1000), (7, 200)):
        means = values[draws(40, resamples, seed)].mean(1)
        ours = bootstrap(mean_of(values), 40, seed, resamples)
        assert [bound[0] for bound in ours] == pytest.approx(np.percentile(means, [2.5, 97.5]).tolist())
    assert bootstrap(mean_of(values), 40) == bootstrap(mean_of(values), 40, seed=0, resamples=1000)


def test_each_statistic_has_its_own_bounds_and_nan_is_ignored():
    def statistics(counts):
        return np.array([counts[0], counts[1] if counts[1] else np.nan, counts.sum()], dtype=float)

    low, high = bootstrap(statistics, 6)
    counts = np.stack([np.bincount(images, minlength=6) for images in draws(6)]).astype(float)
    drawn = counts[counts[:, 1] > 0, 1]
    assert low.tolist() == [*np.percentile(counts[:, 0], [2.5]), *np.percentile(drawn, [2.5]), 6]
    assert high.tolist() == [*np.percentile(counts[:, 0], [97.5]), *np.percentile(drawn, [97.5]), 6]
    assert low[1] == 1


@pytest.fixture(scope="module")
def resampled():
    """Intervals of 40 images of 3 classes, of which one is rare, with the labels and predictions of each resample."""
    random = np.random.default_rng(5)
    labels = np.where(random.random(40) < 0.05, 2, random.integers(0, 2, 40))
    logits = random.normal(size=(40, 3)) + 1.2 * np.eye(3)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return bootstrap_intervals(probabilities, labels, ("a", "b", "c")), probabilities, labels


def percentiles(values):
    return pytest.approx(tuple(np.percentile(values, [2.5, 97.5])), abs=1e-9)


def test_intervals_of_loss_and_ece_equal_those_of_the_resampled_images(resampled):
    intervals, probabilities, labels = resampled
    losses, errors = [], []
    for images in draws(40):
        chosen, truth = probabilities[images], labels[images]
        losses.append(-np.log(chosen[np.arange(40), truth]).mean())
        errors.append(expected_calibration_error(chosen.max(1), chosen.argmax(1) == truth))
    assert intervals.loss == percentiles(losses)
    assert intervals.ece == percentiles(errors)


def test_intervals_of_scores_equal_those_of_the_resampled_images(resampled):
    intervals, probabilities, labels = resampled
    truth, predicted = labels[draws(40)], probabilities.argmax(1)[draws(40)]
    correct, support, answered = (
        np.stack([mask.sum(1) for mask in masks], 1).astype(float)
        for masks in (
            [(truth == label) & (predicted == label) for label in range(3)],
            [truth == label for label in range(3)],
            [predicted == label for label in range(3)],
        )
    )
    by_score = {
        "precision": correct / np.maximum(answered, 1),
        "recall": correct / np.maximum(support, 1),
        "f1": 2 * correct / np.maximum(answered + support, 1),
    }
    first = precision_recall_fscore_support(truth[0], predicted[0], labels=range(3), zero_division=0)
    assert [values[0].tolist() for values in by_score.values()] == [pytest.approx(column) for column in first[:3]]
    for score, values in by_score.items():
        assert getattr(intervals.macro, score) == percentiles(values.mean(1))
        assert getattr(intervals.weighted, score) == percentiles((values * support).sum(1) / 40)
        for number, name in enumerate("abc"):
            assert getattr(intervals.per_class[name], score) == percentiles(values[:, number])
    assert list(intervals.per_class) == ["a", "b", "c"]


def test_intervals_state_their_method_and_none_for_tta(resampled):
    intervals, *_ = resampled
    assert intervals.accuracy_tta is None
    assert intervals.method == METHOD
    assert METHOD.endswith("percentile bootstrap over images (1,000 resamples) for all others")


def test_intervals_of_classes_without_images_or_predictions_are_0():
    intervals = bootstrap_intervals(np.eye(3)[[0, 0, 0]], np.array([0, 0, 0]), ("a", "b", "c"))
    for scores in (intervals.per_class["b"], intervals.per_class["c"]):
        assert (scores.precision, scores.recall, scores.f1) == ((0, 0), (0, 0), (0, 0))
    assert intervals.per_class["a"].f1 == (1, 1)
    assert intervals.macro.f1 == pytest.approx((1 / 3, 1 / 3))
    assert intervals.weighted.f1 == (1, 1)
