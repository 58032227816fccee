"""Intervals of all metrics: agreement with SciPy, coverage, and a width even at 0 and 100%."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as reference

from tinysight.evaluation.confidence_intervals import (
    Scores,
    average_interval,
    mean_average_precision_interval,
    metric_intervals,
    wilson_interval,
)
from tinysight.evaluation.metrics import compute_metrics
from tinysight.models.scores import average_precisions


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


def test_default_confidence_is_95_percent():
    """By the formula, with the 97.5% quantile of the normal distribution."""
    z, p, n = 1.959963984540054, 0.8, 50
    center = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    margin = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    assert wilson_interval(40, 50) == pytest.approx((center - margin, center + margin), abs=1e-12)


def test_nothing_is_known_without_images():
    assert wilson_interval(0, 0) == (0.0, 1.0)


def pairs_of(metrics):
    """All values of the metrics with their intervals."""
    intervals, selective = metrics.intervals, metrics.selective
    yield metrics.accuracy, metrics.accuracy_ci95
    yield metrics.balanced_accuracy, intervals.balanced_accuracy
    yield metrics.loss, intervals.loss
    yield metrics.calibration.rms_error, intervals.calibration_error
    yield selective.coverage, selective.coverage_ci95
    yield selective.error, selective.error_ci95
    yield from ((row.accuracy, row.accuracy_ci95) for row in metrics.calibration.bins)
    scores = [(metrics.macro, intervals.macro), (metrics.weighted, intervals.weighted)]
    scores += [(metrics.per_class[name], intervals.per_class[name]) for name in metrics.per_class]
    for values, bounds in scores:
        yield from ((getattr(values, key), getattr(bounds, key)) for key in ("precision", "recall", "f1"))


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 100),
    classes=st.integers(2, 6),
    accuracy=st.sampled_from([0.0, 0.5, 0.95, 1.0]),
    threshold=st.sampled_from([0.0, 0.9, 2.0]),
)
@settings(max_examples=60, deadline=None)
def test_every_interval_contains_its_value_and_has_a_width(seed, n, classes, accuracy, threshold):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    probabilities = random.dirichlet(np.full(classes, 0.5), n)
    swap = random.random(n) < accuracy  # these images are correct
    order = np.argsort(probabilities, axis=1)
    probabilities[swap, labels[swap]], probabilities[swap, order[swap, -1]] = (
        probabilities[swap, order[swap, -1]],
        probabilities[swap, labels[swap]],
    )
    metrics = compute_metrics(
        probabilities, labels, [f"class {number}" for number in range(classes)], "test", abstain_below=threshold
    )
    for value, (low, high) in pairs_of(metrics):
        assert low <= value * (1 + 1e-9) + 1e-12
        assert value <= high * (1 + 1e-9) + 1e-12
        assert low < high


def test_shares_of_a_class_have_wilson_intervals():
    """Class a: 6 of 6 found, 6 of 8 predictions correct, so 6 of 8 images in the union."""
    labels = np.repeat([0, 1], [6, 10])
    predictions = np.repeat([0, 1], [8, 8])
    intervals = compute_metrics(np.eye(2)[predictions], labels, ["a", "b"], "test").intervals.per_class["a"]
    low, high = binomtest(6, 8).proportion_ci(method="wilson")
    assert intervals.recall == (pytest.approx(0.6097, abs=1e-4), 1.0)
    assert intervals.precision == pytest.approx((low, high))
    assert intervals.f1 == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)))


def test_interval_of_an_average_of_two_shares():
    """By hand: 6 of 6 (61.0 to 100) and 5 of 10 (23.7 to 76.3) average 75%, less half of the root of both squares."""
    bounds = np.array([wilson_interval(6, 6), wilson_interval(5, 10)])
    low, high = average_interval(Scores(np.array([1, 0.5]), *bounds.T), np.array([0.5, 0.5]))
    assert low == pytest.approx(0.75 - np.hypot(0.3903, 0.2634) / 2, abs=1e-4)
    assert high == pytest.approx(0.75 + 0.2634 / 2, abs=1e-4)


def test_perfectly_correlated_scores_average_like_their_bounds():
    scores = Scores(np.array([0.5, 0.8]), np.array([0.4, 0.6]), np.array([0.7, 0.9]))
    interval = average_interval(scores, np.array([0.25, 0.75]), np.ones((2, 2)))
    assert interval == pytest.approx((0.25 * 0.4 + 0.75 * 0.6, 0.25 * 0.7 + 0.75 * 0.9))


def draw(random, n, shift):
    """Labels of classes with shares of 10, 30 and 60%, and probabilities of a classifier that knows them in part."""
    labels = random.choice(3, n, p=[0.1, 0.3, 0.6])
    logits = random.normal(size=(n, 3)) + shift * np.eye(3)[labels]
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True), labels


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("n", [20, 100])
def test_intervals_contain_the_true_metrics_in_95_percent_of_draws(n, shift):
    random = np.random.default_rng(n)
    probabilities, labels = draw(random, 200_000, shift)
    predictions = probabilities.argmax(1)
    macro = reference.precision_recall_fscore_support(labels, predictions, average="macro")
    true = {
        "balanced": macro[1],
        "precision": macro[0],
        "f1": macro[2],
        "weighted": reference.f1_score(labels, predictions, average="weighted"),
        "class": reference.f1_score(labels == 2, predictions == 2),
        "loss": reference.log_loss(labels, probabilities),
    }
    draws, covered = 400, dict.fromkeys(true, 0)
    for _ in range(draws):
        probabilities, labels = draw(random, n, shift)
        nats = -np.log(probabilities[np.arange(n), labels])
        intervals = metric_intervals(probabilities.argmax(1), labels, nats, ("a", "b", "c"), (0.0, 1.0))
        bounds = {
            "balanced": intervals.balanced_accuracy,
            "precision": intervals.macro.precision,
            "f1": intervals.macro.f1,
            "weighted": intervals.weighted.f1,
            "class": intervals.per_class["c"].f1,
            "loss": intervals.loss,
        }
        for key, (low, high) in bounds.items():
            covered[key] += low <= true[key] <= high
    # The 1st percentile of 400 draws at 95% is 370. With 2 images of the rarest class, averages of F1 cover 88%.
    assert all(count >= (362 if n > 20 else 348) for count in covered.values()), covered


def test_interval_of_the_average_precision_of_perfect_labels_is_that_of_wilson():
    """Both labels are the same, so the mean of two is no more certain than one."""
    has_label = np.array([1] * 6 + [0] * 14)
    labels, scores = np.stack([has_label] * 2, 1), np.stack([np.linspace(1, 0, 20)] * 2, 1)
    assert mean_average_precision_interval(labels, scores) == pytest.approx(wilson_interval(6, 6))
    assert mean_average_precision_interval(labels[:, :1], scores[:, :1]) == pytest.approx(wilson_interval(6, 6))


def test_labels_without_images_do_not_change_the_interval_of_the_mean_average_precision():
    random = np.random.default_rng(0)
    labels, scores = (random.random((50, 2)) < 0.3).astype(int), random.random((50, 2))
    padded = np.column_stack([labels, np.zeros(50, int)]), np.column_stack([scores, random.random(50)])
    assert mean_average_precision_interval(*padded) == mean_average_precision_interval(labels, scores)


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_interval_of_the_mean_average_precision_covers_it_in_95_percent_of_draws(shared):
    """Of labels that are independent, and of labels that occur together and are mistaken together."""
    random = np.random.default_rng(0)

    def draw(n):
        has_label = np.where(random.random((n, 5)) < shared, random.random((n, 1)), random.random((n, 5))) < 0.3
        noise = np.sqrt(shared) * random.normal(size=(n, 1)) + np.sqrt(1 - shared) * random.normal(size=(n, 5))
        return has_label.astype(int), noise + 2 * has_label

    truth = average_precisions(*draw(100_000)).mean()
    intervals = [mean_average_precision_interval(*draw(100)) for _ in range(150)]
    assert np.mean([low <= truth <= high for low, high in intervals]) >= 0.92
    assert np.mean([high - low for low, high in intervals]) < (0.13 if not shared else 0.25)


def test_the_interval_of_the_macro_f1_uses_the_correlations_of_the_classes():
    """Against correlations from bootstrap samples, combined by the method of variance estimates recovery."""
    random, names = np.random.default_rng(0), ("a", "b", "c")
    labels = np.repeat([0, 1, 2], [40, 120, 360])
    predictions = np.where(random.random(len(labels)) < 0.7, labels, random.integers(0, 3, len(labels)))
    intervals = metric_intervals(predictions, labels, np.ones(len(labels)), names, (0.0, 1.0))
    bounds = np.array([intervals.per_class[name].f1 for name in names])
    scores = reference.f1_score(labels, predictions, average=None)
    samples = []
    for _ in range(400):
        drawn = random.integers(0, len(labels), len(labels))
        samples.append(reference.f1_score(labels[drawn], predictions[drawn], average=None))
    correlations = np.corrcoef(np.array(samples).T)
    below, above = (np.abs(bounds[:, side] - scores) / 3 for side in (0, 1))
    low, high = intervals.macro.f1
    assert scores.mean() - low == pytest.approx(math.sqrt(below @ correlations @ below), rel=0.05)
    assert high - scores.mean() == pytest.approx(math.sqrt(above @ correlations @ above), rel=0.05)
