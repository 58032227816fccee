"""Evaluation of a run: metrics and predictions."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysight._util.errors import InputError
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Dataset, Split
from tinysight.data.splits import join
from tinysight.evaluation.metrics import compute_metrics, count_unlike_training
from tinysight.evaluation.multi_label import compute_multi_label_metrics
from tinysight.models.classifier import ClassifierSpec
from tinysight.models.predictor import Outputs, Predictor
from tinysight.runs.records import AnyMetrics, SplitName
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import is_dataset_of, match_classes, open_dataset, split_of_run


def evaluate(
    run: Run,
    dataset: Dataset | None = None,
    split: SplitName = "test",
    tta: bool = False,
    data_dir: Path | None = None,
    progress: Progress = SILENT,
) -> AnyMetrics:
    """Evaluate a run on one split of its own dataset or of a different dataset.

    metrics.json and predictions.npz are written for the run's own dataset only, because the card, the report and
    `compare` state them as results on it.

    Args:
        run: a finished or interrupted run.
        dataset: a dataset with classes of the run; by default, the run's own, loaded again from its source.
        split: the split to evaluate on.
        tta: also compute the accuracy with test-time augmentation.
        data_dir: the CIFAR-10 folder; by default, the one used in training.
        progress: receives the progress of loading the dataset.

    Returns:
        The metrics, as in metrics.json.

    Raises:
        RunError: a file of the run is missing or damaged.
        DataError: the dataset has other classes or a different image size, or the images at the run's own source
            are not those that it was trained on.
        InputError: the dataset has no such split.
    """
    classifier, weights_checksum = run.classifier(), run.weights_checksum()
    run.history()  # a damaged run is refused before a file is written
    opened = open_dataset(run, data_dir=data_dir, progress=progress) if dataset is None else dataset
    opened = match_classes(opened, classifier)
    is_own = is_dataset_of(run, opened)
    images = select_split(run, opened, split)
    outputs = classifier.outputs(images.pixels)
    metrics = _measure(
        classifier.spec,
        outputs,
        images,
        split,
        classifier.probabilities(images.pixels, tta=True) if tta else None,
    )
    origin = {"recipe": run.summary().recipe, "dataset": opened.name, "notes": opened.notes}
    metrics = metrics.model_copy(update={**origin, "weights_sha256": weights_checksum})
    if is_own:
        run.write_metrics(metrics)
        run.write_predictions(outputs.probabilities, images.labels, opened.notes)
    return metrics


def _measure(
    spec: ClassifierSpec,
    outputs: Outputs,
    images: Split,
    split: SplitName,
    probabilities_tta: NDArray[np.float32] | None,
) -> AnyMetrics:
    """Return the metrics of the task of a classifier."""
    unlike_training = count_unlike_training(outputs.ood_scores, spec.ood_threshold, spec.n_calibration)
    if spec.task == "multi-label":
        return compute_multi_label_metrics(
            outputs.probabilities,
            images.labels,
            spec.class_names,
            split,
            spec.thresholds,
            spec.temperature,
            spec.n_calibration,
            probabilities_tta,
            unlike_training,
        )
    return compute_metrics(
        outputs.probabilities,
        images.labels,
        spec.class_names,
        split,
        spec.temperature,
        spec.abstain_below,
        spec.promise,
        probabilities_tta,
        spec.set_threshold,
        spec.n_calibration,
        unlike_training,
    )


def evaluate_classifier(classifier: Predictor, dataset: Dataset) -> AnyMetrics:
    """Evaluate a classifier without a run on the test images of a dataset, or on all if it has none. Write no files.

    Raises:
        DataError: the dataset has other classes or a different image size.
    """
    images = _unseen_images(match_classes(dataset, classifier))
    outputs, names = classifier.outputs(images.pixels), classifier.class_names
    unlike_training = count_unlike_training(outputs.ood_scores, classifier.ood_threshold)
    if classifier.task == "multi-label":
        return compute_multi_label_metrics(
            outputs.probabilities,
            images.labels,
            names,
            "test",
            classifier.thresholds,
            unlike_training=unlike_training,
        )
    return compute_metrics(
        outputs.probabilities,
        images.labels,
        names,
        "test",
        abstain_below=classifier.abstain_below,
        set_threshold=classifier.set_threshold,
        unlike_training=unlike_training,
    )


def select_split(run: Run, dataset: Dataset, split: SplitName) -> Split:
    """Return the validation split, or the test split. If a different dataset has no test split, return all its images.

    Raises:
        InputError: the dataset has no images of this split.
    """
    if not is_dataset_of(run, dataset):
        images = _unseen_images(dataset) if split == "test" else dataset.validation
    elif split == "test":
        images = dataset.test
    else:
        images = split_of_run(run, dataset).validation
    if not images:
        other = "validation" if split == "test" else "test"
        raise InputError(f"{dataset.source}: has no {split} split. Evaluate on its {other} split.")
    return images


def _unseen_images(dataset: Dataset) -> Split:
    """Return the images of a dataset that a classifier was not trained on: the test split, or all if it has none."""
    if not dataset.has_drawn_test:
        return dataset.test
    return reduce(join, dataset.splits.values())
