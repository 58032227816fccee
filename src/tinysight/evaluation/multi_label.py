"""Metrics of several labels per image, computed from predicted probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from tinysight._util.errors import TinysightError
from tinysight.data.labels import Labels
from tinysight.evaluation.confidence_intervals import (
    label_intervals,
    mean_average_precision_interval,
    mean_loss_interval,
    wilson_interval,
)
from tinysight.evaluation.metrics import ProbabilityArray, check_probabilities
from tinysight.models.scores import average_precisions, mean_average_precision
from tinysight.runs.records import ClassScores, LabelScores, MultiLabelMetrics, OodMetrics, SplitName


def compute_multi_label_metrics(
    probabilities: ProbabilityArray,
    labels: Labels,
    class_names: Sequence[str],
    split: SplitName,
    thresholds: Sequence[float],
    temperature: float = 1.0,
    n_calibration: int = 0,
    probabilities_tta: ProbabilityArray | None = None,
    unlike_training: OodMetrics | None = None,
) -> MultiLabelMetrics:
    """Compute all metrics of predicted probabilities.

    Args:
        probabilities: (n, labels), 0..1, computed without TTA.
        labels: int64, (n, labels), 1 where the image has the label.
        class_names: distinct names, in the order of the labels.
        split: the split of the images.
        thresholds: the probability from which an image gets each label.
        temperature: temperature of the probabilities; recorded, not applied.
        n_calibration: number of validation images that the thresholds were chosen on; recorded.
        probabilities_tta: (n, labels), computed with TTA, for `mean_average_precision_tta`.
        unlike_training: how many of the images are marked as unlike the training images; recorded.

    Returns:
        The metrics. Precision, recall and F1 of a label without predictions or images are 0, also in the macro
        average. The mean average precision leaves out labels without images.

    Raises:
        TinysightError: the split is empty, the shapes do not match, or a probability is NaN or infinite.
    """
    _check_arrays(probabilities, labels, class_names, split)
    exact: NDArray[np.float64] = probabilities.astype(np.float64)
    predictions = exact >= np.asarray(thresholds)
    matches = predictions == labels.astype(bool)
    n, n_exact = len(labels), int(matches.all(1).sum())
    precisions = average_precisions(labels, exact)
    nats = _negative_log_likelihood(exact, labels)
    return MultiLabelMetrics(
        split=split,
        n=n,
        n_unlabeled=int((~labels.any(axis=1)).sum()),
        mean_average_precision=mean_average_precision(precisions),
        mean_average_precision_ci95=mean_average_precision_interval(labels, exact) if labels.any() else None,
        mean_average_precision_tta=None
        if probabilities_tta is None
        else mean_average_precision(average_precisions(labels, probabilities_tta)),
        exact_match=n_exact / n,
        exact_match_ci95=wilson_interval(n_exact, n),
        hamming_accuracy=float(matches.mean()),
        loss=float(nats.mean()),
        loss_ci95=mean_loss_interval(nats, 2 ** len(class_names)),  # a uniform prediction of the sets of labels
        per_label=_per_label(labels, predictions, precisions, class_names, thresholds),
        micro=_average(labels, predictions, "micro"),
        macro=_average(labels, predictions, "macro"),
        intervals=label_intervals(predictions, labels, class_names),
        temperature=temperature,
        n_calibration=n_calibration,
        unlike_training=unlike_training,
    )


def _negative_log_likelihood(probabilities: NDArray[np.float64], labels: Labels) -> NDArray[np.float64]:
    """Return the negative log-likelihood of the labels of each image in nats, (n,), at most 87 for each label."""
    likelihoods = np.where(labels == 1, probabilities, 1 - probabilities)
    nats: NDArray[np.float64] = -np.log(np.maximum(likelihoods, np.finfo(np.float32).tiny)).sum(1)
    return nats


def _per_label(
    labels: Labels,
    predictions: NDArray[np.bool_],
    precisions: NDArray[np.float64],
    class_names: Sequence[str],
    thresholds: Sequence[float],
) -> dict[str, LabelScores]:
    columns = precision_recall_fscore_support(labels, predictions, zero_division=0)
    rows = zip(class_names, *columns, precisions, predictions.sum(0), thresholds, strict=True)
    return {
        name: LabelScores(
            precision=float(precision),
            recall=float(recall),
            f1=float(f1),
            support=int(support),
            average_precision=None if math.isnan(average_precision) else float(average_precision),
            n_predicted=int(n_predicted),
            threshold=float(threshold),
        )
        for name, precision, recall, f1, support, average_precision, n_predicted, threshold in rows
    }


def _average(labels: Labels, predictions: NDArray[np.bool_], kind: str) -> ClassScores:
    precision, recall, f1, _ = precision_recall_fscore_support(labels, predictions, average=kind, zero_division=0)
    return ClassScores(precision=float(precision), recall=float(recall), f1=float(f1), support=int(labels.sum()))


def _check_arrays(probabilities: ProbabilityArray, labels: Labels, class_names: Sequence[str], split: str) -> None:
    expected = (len(labels), len(class_names))
    check_probabilities(probabilities, len(labels), split)
    if probabilities.shape != expected or labels.shape != expected:
        raise TinysightError(
            f"{split} split: probabilities {probabilities.shape} and labels {labels.shape} do not match "
            f"{len(labels)} images of {len(class_names)} labels. Use a dataset with the labels of the model."
        )


def label_report(metrics: MultiLabelMetrics) -> str:
    """Return a table of the scores of each label, and of their averages, as text."""
    averages = {"micro avg": metrics.micro, "macro avg": metrics.macro}
    width = max(len(name) for name in [*metrics.per_label, *averages])
    header = f"{'':>{width}}  avg. prec.  precision    recall  f1-score  threshold    images"
    rows = [
        f"{name:>{width}}  {_number(scores.average_precision):>10} {_row(scores)}  {scores.threshold:>9.4f} "
        f"{scores.support:>9}"
        for name, scores in metrics.per_label.items()
    ]
    means = [
        f"{name:>{width}}  {_number(metrics.mean_average_precision if name == 'macro avg' else None):>10} "
        f"{_row(scores)}  {'':>9} {scores.support:>9}"
        for name, scores in averages.items()
    ]
    return "\n".join([header, "", *rows, "", *means, ""])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _row(scores: ClassScores) -> str:
    return f"{scores.precision:>10.4f} {scores.recall:>9.4f} {scores.f1:>9.4f}"
