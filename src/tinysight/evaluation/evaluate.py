"""Evaluation of a run: metrics, predictions and plots."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tinysight._util.errors import DataError
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Dataset, Split
from tinysight.evaluation.confidence_intervals import wilson_interval
from tinysight.evaluation.metrics import Metrics, ProbabilityArray, compute_metrics
from tinysight.evaluation.protocols import Predictor
from tinysight.reporting.calibration_plot import plot_calibration
from tinysight.reporting.confusion_plot import plot_confusion_matrix
from tinysight.reporting.learning_curves import plot_learning_curves
from tinysight.reporting.mistakes_plot import plot_mistakes
from tinysight.reporting.style import save
from tinysight.runs.records import EpochRecord
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import load_run_dataset
from tinysight.training.train_split import split_dataset

SplitName = Literal["test", "validation"]


def evaluate(
    run: Run,
    split: SplitName = "test",
    tta: bool = False,
    data_dir: Path | None = None,
    progress: Progress = SILENT,
) -> Metrics:
    """Evaluate a run on one split; write metrics.json, predictions.npz and plots.

    Args:
        run: a finished or interrupted run.
        split: the split to evaluate on.
        tta: also compute the accuracy with test-time augmentation.
        data_dir: the CIFAR-10 folder; by default, the one used in training.
        progress: receives the progress of loading the dataset.

    Returns:
        The content of metrics.json.

    Raises:
        RunError: a file of the run is missing or damaged.
        DataError: the images are not those that the run was trained on.
    """
    classifier, weights_checksum, history = run.classifier(), run.weights_checksum(), run.history()
    dataset = load_run_dataset(run, data_dir, progress)
    images = _select_split(run, dataset, split)
    probabilities = classifier.probabilities(images.pixels)
    metrics = compute_metrics(
        probabilities,
        images.labels,
        classifier.class_names,
        split,
        classifier.spec.temperature,
        classifier.abstain_below,
    )
    if tta:
        hits = int((classifier.probabilities(images.pixels, tta=True).argmax(1) == images.labels).sum())
        metrics["accuracy_tta"] = hits / len(images)
        metrics["intervals"]["accuracy_tta"] = list(wilson_interval(hits, len(images)))
    origin = {"recipe": run.summary().recipe, "dataset": dataset.name, "notes": list(dataset.notes)}
    run.write_metrics({**metrics, **origin}, weights_checksum)
    run.write_predictions(probabilities, images.labels, dataset.notes)
    _draw(run, history, dataset, images, probabilities, metrics)
    return metrics


def evaluate_classifier(classifier: Predictor, dataset: Dataset) -> Metrics:
    """Evaluate a classifier without a run on the test images of a dataset. Write no files.

    Raises:
        DataError: the dataset and the classifier have different classes.
    """
    if dataset.class_names != classifier.class_names:
        raise DataError(
            f"{dataset.source}: has the classes {', '.join(dataset.class_names)}, but the classifier has "
            f"{', '.join(classifier.class_names)}. Use a dataset with the same classes."
        )
    probabilities = classifier.probabilities(dataset.test.pixels)
    return compute_metrics(
        probabilities, dataset.test.labels, classifier.class_names, "test", abstain_below=classifier.abstain_below
    )


def _select_split(run: Run, dataset: Dataset, split: SplitName) -> Split:
    if split == "test":
        return dataset.test
    return split_dataset(dataset, run.recipe().data, run.environment().seed).validation


def _draw(
    run: Run,
    history: list[EpochRecord],
    dataset: Dataset,
    images: Split,
    probabilities: ProbabilityArray,
    metrics: Metrics,
) -> None:
    names, matrix = dataset.class_names, metrics["confusion_matrix"]
    title = f"{run.summary().recipe} on {dataset.name}, {metrics['split']} images (n = {metrics['n']:,})"
    note = " ".join(dataset.notes)
    figures = {
        "curves": plot_learning_curves(
            [epoch.model_dump() for epoch in history], title=f"{run.summary().recipe} on {dataset.name}", note=note
        ),
        "confusion": plot_confusion_matrix(matrix, names, rates=False, title=title, note=note),
        "confusion-rates": plot_confusion_matrix(matrix, names, rates=True, title=title, note=note),
        "mistakes": plot_mistakes(images, probabilities, names, title=title, note=note),
        "confidence": plot_calibration(metrics["calibration"]["bins"], metrics["unsure"], title=title, note=note),
    }
    for name, figure in figures.items():
        save(figure, run.plot_path(name))
