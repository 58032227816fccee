"""Metrics: contract keys, agreement with scikit-learn, refused input."""

import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.special import log_softmax, softmax
from sklearn import metrics as reference

from tinysight._util.errors import TinysightError
from tinysight.evaluation.confidence_intervals import wilson_interval
from tinysight.evaluation.metrics import classification_report, compute_metrics
from tinysight.runs.records import Metrics

NAMES = ["cat", "dog", "ship", "accuracy"]  # "accuracy" is also a key in scikit-learn's report


def numbers_in(value):
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers_in(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers_in(item)]
    return [value] if isinstance(value, int | float) else []


def test_metrics_have_the_keys_of_the_contract(outcome):
    metrics = compute_metrics(*outcome(0), NAMES, "validation", temperature=1.7)

    assert list(metrics.model_dump()) == [
        "format",
        "split",
        "n",
        "accuracy",
        "accuracy_ci95",
        "balanced_accuracy",
        "loss",
        "accuracy_tta",
        "per_class",
        "macro",
        "weighted",
        "confusion_matrix",
        "calibration",
        "selective",
        "prediction_sets",
        "unlike_training",
        "intervals",
        "recipe",
        "dataset",
        "notes",
        "weights_sha256",
    ]
    assert (metrics.format, metrics.split, metrics.n) == (4, "validation", 60)
    assert (metrics.accuracy_tta, metrics.prediction_sets) == (None, None)
    assert metrics.calibration.temperature == 1.7
    assert list(metrics.per_class) == NAMES
    for scores in (*metrics.per_class.values(), metrics.macro, metrics.weighted):
        assert list(scores.model_dump()) == ["precision", "recall", "f1", "support"]


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_metrics_roundtrip_through_json_and_are_finite(outcome, seed, n):
    metrics = compute_metrics(*outcome(seed, n), NAMES, "test")

    values = metrics.model_dump(mode="json")
    assert Metrics.model_validate_json(json.dumps(values, allow_nan=False)) == metrics
    assert all(math.isfinite(number) for number in numbers_in(values))
    assert {type(number) for number in numbers_in(values)} == {int, float}


def test_scores_equal_scikit_learn(outcome):
    probabilities, labels = outcome(1, n=500)
    predictions = probabilities.argmax(axis=1)

    metrics = compute_metrics(probabilities, labels, NAMES, "test")

    assert metrics.accuracy == reference.accuracy_score(labels, predictions)
    assert metrics.balanced_accuracy == pytest.approx(reference.balanced_accuracy_score(labels, predictions))
    assert metrics.macro.f1 == reference.f1_score(labels, predictions, average="macro")
    assert metrics.weighted.precision == reference.precision_score(labels, predictions, average="weighted")
    assert [scores.recall for scores in metrics.per_class.values()] == pytest.approx(
        reference.recall_score(labels, predictions, average=None)
    )


def test_confusion_matrix_rows_are_true_classes():
    probabilities = np.eye(3)[[1, 1, 2]]

    metrics = compute_metrics(probabilities, np.array([0, 1, 0]), ["a", "b", "c"], "test")

    assert metrics.confusion_matrix == ((0, 1, 1), (0, 1, 0), (0, 0, 0))
    assert metrics.accuracy == 1 / 3
    assert metrics.accuracy_ci95[0] < 1 / 3 < metrics.accuracy_ci95[1]


def test_classes_without_images_or_predictions_score_0_without_warning():
    metrics = compute_metrics(np.eye(3)[[0, 0]], np.array([0, 1]), ["a", "b", "c"], "test")

    assert metrics.per_class["b"].model_dump() == {"precision": 0, "recall": 0, "f1": 0, "support": 1}
    assert metrics.per_class["c"].model_dump() == {"precision": 0, "recall": 0, "f1": 0, "support": 0}


def test_loss_of_extreme_logits():
    logits = np.array([[0, 60], [3, 1], [-20, 5]], dtype=np.float32)
    expected = -log_softmax(logits.astype(np.float64), axis=1)[[0, 1, 2], [0, 0, 1]].mean()

    metrics = compute_metrics(softmax(logits, axis=1), np.array([0, 0, 1]), ["a", "b"], "test")

    assert metrics.loss == pytest.approx(expected, rel=1e-6)


def test_loss_of_zero_probability_is_87_nats():
    metrics = compute_metrics(np.array([[0.0, 1.0]]), np.array([0]), ["a", "b"], "test")

    assert metrics.loss == pytest.approx(87.3, abs=0.1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_probabilities_are_rejected(outcome, bad):
    probabilities, labels = outcome(2)
    probabilities[7, 1] = bad

    with pytest.raises(TinysightError, match="test split: predicted probabilities contain NaN or infinity"):
        compute_metrics(probabilities, labels, NAMES, "test")


def test_empty_split_is_rejected():
    with pytest.raises(TinysightError, match="validation split: has no images"):
        compute_metrics(np.zeros((0, 4)), np.zeros(0, dtype=int), NAMES, "validation")


@pytest.mark.parametrize(("shape", "label"), [((5, 3), 0), ((5, 5), 0), ((4, 4), 0), ((5, 4), 4), ((5, 4), -1)])
def test_mismatched_arrays_are_rejected(shape, label):
    with pytest.raises(TinysightError, match="do not match 5 images of 4 classes"):
        compute_metrics(np.full(shape, 0.25), np.array([0, 1, 2, 3, label]), NAMES, "test")


def test_metrics_are_immutable(outcome):
    metrics = compute_metrics(*outcome(3), NAMES, "test")
    with pytest.raises(ValidationError, match="frozen"):
        metrics.accuracy = 1.0


def test_accuracy_with_tta_has_its_own_interval(outcome):
    probabilities, labels = outcome(4)
    perfect = np.eye(4)[labels]
    metrics = compute_metrics(probabilities, labels, NAMES, "test", probabilities_tta=perfect)
    plain = compute_metrics(probabilities, labels, NAMES, "test")
    assert metrics.accuracy_tta == 1
    assert metrics.intervals.accuracy_tta == wilson_interval(60, 60)
    assert metrics.accuracy == plain.accuracy < 1
    assert plain.intervals.accuracy_tta is None


def test_selective_curve_ends_at_full_coverage_and_overall_error(outcome):
    probabilities, labels = outcome(5)
    metrics = compute_metrics(probabilities, labels, NAMES, "test", abstain_below=0.6)
    confident = probabilities.max(1) >= 0.6
    wrong = probabilities.argmax(1) != labels
    assert metrics.selective.threshold == 0.6
    assert metrics.selective.coverage == confident.mean()
    assert metrics.selective.error == pytest.approx(wrong[confident].mean())
    assert metrics.selective.curve[-1] == (1.0, pytest.approx(1 - metrics.accuracy))
    assert 0 < metrics.selective.aurc < 1 - metrics.accuracy


def test_prediction_sets_are_counted_by_size_and_by_class(outcome):
    probabilities, labels = outcome(11, n=200)
    metrics = compute_metrics(probabilities, labels, NAMES, "test", set_threshold=0.3, n_calibration=77).prediction_sets
    sets = [{index for index, p in enumerate(row) if p >= 0.3} | {int(row.argmax())} for row in probabilities]
    covered = np.array([label in members for label, members in zip(labels, sets, strict=True)])
    assert (metrics.threshold, metrics.n_calibration, metrics.target_coverage) == (0.3, 77, 0.95)
    assert (metrics.coverage, metrics.coverage_ci95) == (covered.mean(), wilson_interval(int(covered.sum()), 200))
    assert metrics.mean_size == pytest.approx(np.mean([len(members) for members in sets]))
    assert metrics.sizes == tuple(sum(len(members) == size for members in sets) for size in (1, 2, 3, 4))
    for index, name in enumerate(NAMES):
        own, n = covered[labels == index], int((labels == index).sum())
        assert metrics.per_class[name].coverage == own.mean()
        assert metrics.per_class[name].coverage_ci95 == wilson_interval(int(own.sum()), n)


def test_prediction_sets_of_a_class_without_images_have_no_coverage():
    metrics = compute_metrics(np.eye(3)[[0, 0]], np.array([0, 1]), ["a", "b", "c"], "test", set_threshold=0.5)
    assert metrics.prediction_sets.sizes == (2, 0, 0)
    assert metrics.prediction_sets.per_class["c"].model_dump() == {"coverage": 0, "coverage_ci95": (0, 1)}


def scikit_learn_report(probabilities, labels, names):
    predictions = probabilities.argmax(axis=1)
    all_labels = range(len(names))
    return reference.classification_report(
        labels, predictions, labels=all_labels, target_names=names, digits=4, zero_division=0
    )


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 300),
    names=st.lists(st.text("abcä 猫", min_size=1, max_size=25), min_size=2, max_size=12, unique=True),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_report_equals_scikit_learn(outcome, seed, n, names):
    probabilities, labels = outcome(seed, n, len(names))
    # scikit-learn 1.9 prints the support as "3.0" if no prediction is correct.
    assume((probabilities.argmax(axis=1) == labels).any())

    report = classification_report(compute_metrics(probabilities, labels, names, "test"))

    assert report == scikit_learn_report(probabilities, labels, names)


def test_report_with_large_counts_equals_scikit_learn(outcome):
    names = ["cat", "dog"]
    labels = np.repeat([0, 1], 300_000)
    probabilities = np.eye(2)[labels]

    report = classification_report(compute_metrics(probabilities, labels, names, "test"))

    assert report == scikit_learn_report(probabilities, labels, names)


def test_defaults_record_no_temperature_and_no_abstention(outcome):
    metrics = compute_metrics(*outcome(6), NAMES, "test")
    assert metrics.calibration.temperature == 1
    assert (metrics.selective.threshold, metrics.selective.coverage) == (0, 1)
    assert metrics.selective.error == pytest.approx(1 - metrics.accuracy)


def test_averages_state_the_number_of_images(outcome):
    metrics = compute_metrics(*outcome(6, n=37), NAMES, "test")
    assert (metrics.macro.support, metrics.weighted.support) == (37, 37)
    assert sum(scores.support for scores in metrics.per_class.values()) == 37


def test_scores_of_classes_and_averages_equal_scikit_learn(outcome):
    probabilities, labels = outcome(8, n=90)
    metrics = compute_metrics(probabilities, labels, NAMES, "test")
    report = reference.classification_report(
        labels, probabilities.argmax(1), target_names=list("abcd"), output_dict=True
    )
    rows = [metrics.per_class[name] for name in NAMES] + [metrics.macro, metrics.weighted]
    for scores, key in zip(rows, ["a", "b", "c", "d", "macro avg", "weighted avg"], strict=True):
        expected = [report[key][column] for column in ("precision", "recall", "f1-score", "support")]
        assert [scores.precision, scores.recall, scores.f1, scores.support] == pytest.approx(expected)


def test_the_selective_curve_has_at_most_101_points_evenly_spaced_in_coverage(outcome):
    probabilities, labels = outcome(9, n=501)
    wrong = probabilities.argmax(1) != labels
    order = np.argsort(-probabilities.max(1).astype(np.float64), kind="stable")
    curve = compute_metrics(probabilities, labels, NAMES, "test").selective.curve
    accepted = [1 + 5 * step for step in range(101)]
    assert [coverage for coverage, _ in curve] == pytest.approx([n / 501 for n in accepted])
    assert [error for _, error in curve] == pytest.approx([wrong[order[:n]].mean() for n in accepted])


def test_the_selective_curve_of_few_images_has_all_points(outcome):
    curve = compute_metrics(*outcome(9, n=7), NAMES, "test").selective.curve
    assert [coverage for coverage, _ in curve] == pytest.approx(np.arange(1, 8) / 7)


def test_aurc_is_the_mean_selective_error_over_all_coverages(outcome):
    probabilities, labels = outcome(10, n=80)
    wrong = (probabilities.argmax(1) != labels)[np.argsort(-probabilities.max(1), kind="stable")]
    expected = np.mean(np.cumsum(wrong) / np.arange(1, 81))
    assert compute_metrics(probabilities, labels, NAMES, "test").selective.aurc == pytest.approx(expected)


def test_calibration_of_three_predictions_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    metrics = compute_metrics(probabilities, np.array([0, 1, 1]), ["a", "b"], "test", temperature=2)
    assert metrics.calibration.ece == pytest.approx((0.1 + 0.2 + 0.6) / 3)
    assert [(each.n, each.accuracy) for each in metrics.calibration.bins] == [(1, 0), (1, 1), (1, 1)]
    assert metrics.loss == pytest.approx(-np.log([0.9, 0.8, 0.4]).mean())


def test_accuracy_with_tta_counts_its_own_predictions():
    plain, flipped = np.eye(2)[[0, 0, 0, 1]], np.eye(2)[[0, 1, 1, 1]]
    metrics = compute_metrics(plain, np.zeros(4, dtype=int), ["a", "b"], "test", probabilities_tta=flipped)
    assert (metrics.accuracy, metrics.accuracy_tta) == (0.75, 0.25)
    assert (metrics.accuracy_ci95, metrics.intervals.accuracy_tta) == (wilson_interval(3, 4), wilson_interval(1, 4))


def test_messages_of_refused_arrays_are_complete():
    with pytest.raises(TinysightError) as error:
        compute_metrics(np.full((2, 3), 1 / 3), np.array([1, 5]), ["a", "b", "c"], "validation")
    assert str(error.value) == (
        "validation split: probabilities (2, 3) and labels 1 to 5 do not match 2 images of 3 classes. "
        "Use a dataset with the classes of the model."
    )
    with pytest.raises(TinysightError) as error:
        compute_metrics(np.full((1, 2), np.nan), np.array([0]), ["a", "b"], "test")
    assert str(error.value) == (
        "test split: predicted probabilities contain NaN or infinity. "
        "The weights are damaged or the training diverged. Train the model again."
    )
    with pytest.raises(TinysightError) as error:
        compute_metrics(np.zeros((0, 2)), np.zeros(0, dtype=int), ["a", "b"], "test")
    assert str(error.value) == "test split: has no images. Evaluate on a split with images."
