"""Metrics computed from predicted probabilities (metrics.json)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from tinysight._util.errors import TinysightError
from tinysight.evaluation.calibration import (
    debiased_calibration_error,
    expected_calibration_error,
    negative_log_likelihood,
    reliability_bins,
)
from tinysight.evaluation.confidence_intervals import metric_intervals, wilson_interval
from tinysight.models.conformal import COVERAGE, prediction_sets
from tinysight.models.scores import balanced_accuracy
from tinysight.models.selective import Promise, apply_threshold, area_under_risk_coverage, risk_coverage
from tinysight.runs.records import (
    CalibrationMetrics,
    ClassScores,
    Metrics,
    OodMetrics,
    SelectiveMetrics,
    SetCoverage,
    SetMetrics,
    SplitName,
)

ProbabilityArray = NDArray[np.floating[Any]]
LabelArray = NDArray[np.integer[Any]]

_CURVE_POINTS = 101


def compute_metrics(
    probabilities: ProbabilityArray,
    labels: LabelArray,
    class_names: Sequence[str],
    split: SplitName,
    temperature: float = 1.0,
    abstain_below: float = 0.0,
    promise: Promise | None = None,
    probabilities_tta: ProbabilityArray | None = None,
    set_threshold: float | None = None,
    n_calibration: int | None = None,
    unlike_training: OodMetrics | None = None,
) -> Metrics:
    """Compute all metrics of predicted probabilities.

    Args:
        probabilities: (n, classes), rows that sum to 1, computed without TTA.
        labels: (n,), the true classes, 0..classes-1.
        class_names: distinct names, in the order of the labels.
        split: the split of the images.
        temperature: softmax temperature of the probabilities; recorded, not applied.
        abstain_below: confidence, 0..1, below which the classifier abstains.
        promise: the error that this threshold was chosen for; recorded.
        probabilities_tta: (n, classes), computed with TTA, for `accuracy_tta`.
        set_threshold: probability from which a class is in the prediction set; None leaves the sets out.
        n_calibration: number of validation images that this threshold was calibrated on; recorded.
        unlike_training: how many of the images are marked as unlike the training images; recorded.

    Returns:
        The metrics. Scores of a class without predictions or images are 0.

    Raises:
        TinysightError: the split is empty, the shapes do not match, or a probability is NaN or infinite.
    """
    _check_arrays(probabilities, labels, class_names, split)
    probabilities = probabilities.astype(np.float64)
    predictions = probabilities.argmax(axis=1)
    correct = predictions == labels
    confidences = probabilities.max(axis=1)
    n, hits = len(labels), int(correct.sum())
    hits_tta = None if probabilities_tta is None else int((probabilities_tta.argmax(1) == labels).sum())
    nats = negative_log_likelihood(probabilities, labels)
    rms_error, rms_interval = debiased_calibration_error(confidences, correct)
    intervals = metric_intervals(predictions, labels, nats, tuple(class_names), rms_interval)
    if hits_tta is not None:
        intervals = intervals.model_copy(update={"accuracy_tta": wilson_interval(hits_tta, n)})
    return Metrics(
        split=split,
        n=n,
        accuracy=hits / n,
        accuracy_ci95=wilson_interval(hits, n),
        balanced_accuracy=balanced_accuracy(labels, predictions),
        loss=float(nats.mean()),
        accuracy_tta=None if hits_tta is None else hits_tta / n,
        per_class=_per_class(labels, predictions, class_names),
        macro=_average(labels, predictions, len(class_names), "macro"),
        weighted=_average(labels, predictions, len(class_names), "weighted"),
        confusion_matrix=confusion_matrix(labels, predictions, labels=range(len(class_names))).tolist(),
        calibration=CalibrationMetrics(
            ece=expected_calibration_error(confidences, correct),
            rms_error=rms_error,
            temperature=float(temperature),
            bins=reliability_bins(confidences, correct),
        ),
        selective=_selective(confidences, correct, abstain_below, promise),
        prediction_sets=None
        if set_threshold is None
        else _prediction_sets(probabilities, labels, class_names, set_threshold, n_calibration),
        unlike_training=unlike_training,
        intervals=intervals,
    )


def _selective(
    confidences: NDArray[np.float64], correct: NDArray[np.bool_], threshold: float, promise: Promise | None
) -> SelectiveMetrics:
    selective = apply_threshold(confidences, correct, threshold)
    _, coverage, error = risk_coverage(confidences, correct)
    indices = np.unique(np.linspace(0, len(coverage) - 1, _CURVE_POINTS).round().astype(int))
    return SelectiveMetrics(
        threshold=float(threshold),
        coverage=selective.coverage,
        coverage_ci95=wilson_interval(selective.n_covered, len(correct)),
        error=selective.error,
        error_ci95=wilson_interval(selective.n_wrong, selective.n_covered),
        target_error=promise and promise.target_error,
        n_calibration=promise and promise.n,
        aurc=area_under_risk_coverage(confidences, correct),
        curve=tuple((float(coverage[index]), float(error[index])) for index in indices),
    )


def count_unlike_training(
    ood_scores: NDArray[np.floating[Any]], threshold: float | None, n_calibration: int | None = None
) -> OodMetrics | None:
    """Return how many images are marked as unlike the training images; None without a threshold.

    Args:
        ood_scores: (n,).
        threshold: the score above which an image is marked.
        n_calibration: number of validation images that the threshold was chosen on; recorded.
    """
    if threshold is None:
        return None
    n, marked = len(ood_scores), int((ood_scores > threshold).sum())
    return OodMetrics(
        share=marked / max(n, 1),
        share_ci95=wilson_interval(marked, n),
        threshold=threshold,
        n_calibration=n_calibration,
    )


def _prediction_sets(
    probabilities: ProbabilityArray,
    labels: LabelArray,
    class_names: Sequence[str],
    threshold: float,
    n_calibration: int | None,
) -> SetMetrics:
    in_set = prediction_sets(probabilities, threshold)
    sizes, covered = in_set.sum(1), in_set[np.arange(len(labels)), labels]
    return SetMetrics(
        **dict(_coverage(covered)),
        target_coverage=COVERAGE,
        threshold=threshold,
        n_calibration=n_calibration,
        mean_size=float(sizes.mean()),
        sizes=tuple(np.bincount(sizes, minlength=len(class_names) + 1)[1:].tolist()),
        per_class={name: _coverage(covered[labels == index]) for index, name in enumerate(class_names)},
    )


def _coverage(covered: NDArray[np.bool_]) -> SetCoverage:
    n, hits = len(covered), int(covered.sum())
    return SetCoverage(coverage=hits / max(n, 1), coverage_ci95=wilson_interval(hits, n))


def check_probabilities(probabilities: ProbabilityArray, n: int, split: str) -> None:
    """Raise TinysightError if there are no images, `n` = 0, or a probability is NaN or infinite."""
    if n == 0:
        raise TinysightError(f"{split} split: has no images. Evaluate on a split with images.")
    if not np.isfinite(probabilities).all():
        raise TinysightError(
            f"{split} split: predicted probabilities contain NaN or infinity."
            " The weights are damaged or the training diverged. Train the model again."
        )


def _check_arrays(probabilities: ProbabilityArray, labels: LabelArray, class_names: Sequence[str], split: str) -> None:
    n, classes = len(labels), len(class_names)
    check_probabilities(probabilities, n, split)
    if probabilities.shape != (n, classes) or labels.min() < 0 or labels.max() >= classes:
        raise TinysightError(
            f"{split} split: probabilities {probabilities.shape} and labels {labels.min()} to {labels.max()} do not"
            f" match {n} images of {classes} classes. Use a dataset with the classes of the model."
        )


def _per_class(labels: LabelArray, predictions: LabelArray, class_names: Sequence[str]) -> dict[str, ClassScores]:
    columns = precision_recall_fscore_support(labels, predictions, labels=range(len(class_names)), zero_division=0)
    return {name: _scores(*row) for name, *row in zip(class_names, *columns, strict=True)}


def _average(labels: LabelArray, predictions: LabelArray, classes: int, kind: str) -> ClassScores:
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predictions, labels=range(classes), average=kind, zero_division=0
    )
    return _scores(precision, recall, f1, len(labels))


def _scores(precision: float, recall: float, f1: float, support: int) -> ClassScores:
    return ClassScores(precision=float(precision), recall=float(recall), f1=float(f1), support=int(support))


def classification_report(metrics: Metrics) -> str:
    """Return the text of `sklearn.metrics.classification_report` with `digits=4`."""
    averages = {"macro avg": metrics.macro, "weighted avg": metrics.weighted}
    width = max(len(name) for name in [*metrics.per_class, *averages])
    accuracy = f"{metrics.accuracy:>30.4f} {metrics.n:>9}"
    return "\n".join(
        [
            f"{'':>{width}}  precision    recall  f1-score   support",
            "",
            *(_row(name, scores, width) for name, scores in metrics.per_class.items()),
            "",
            f"{'accuracy':>{width}} {accuracy}",
            *(_row(name, scores, width) for name, scores in averages.items()),
            "",
        ]
    )


def _row(name: str, scores: ClassScores, width: int) -> str:
    values = " ".join(f"{value:>9.4f}" for value in (scores.precision, scores.recall, scores.f1))
    return f"{name:>{width}}  {values} {scores.support:>9}"
