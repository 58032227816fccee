"""Evaluation of a run: metrics, predictions and plots."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tinysight.data.dataset import Dataset, Part
from tinysight.errors import DataError
from tinysight.evaluation.answering import Answering
from tinysight.evaluation.images import images_of
from tinysight.evaluation.intervals import wilson_interval
from tinysight.evaluation.metrics import Metrics, Probabilities, measure
from tinysight.progress import SILENT, Progress
from tinysight.reporting.confidence import confidence
from tinysight.reporting.confusion import confusion
from tinysight.reporting.curves import curves
from tinysight.reporting.mistakes import mistakes_sheet
from tinysight.reporting.style import save
from tinysight.runs.records import Epoch
from tinysight.runs.run import Run
from tinysight.training.images import cut

Split = Literal["test", "validation"]


def evaluate(
    run: Run,
    split: Split = "test",
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
    classifier, weights_checksum, history = run.classifier(), run.weights_seal(), run.history()
    dataset = images_of(run, data_dir, progress)
    images = _select_split(run, dataset, split)
    probabilities = classifier.probabilities(images.pixels)
    metrics = measure(
        probabilities, images.labels, classifier.class_names, split, classifier.temperature, classifier.unsure_below
    )
    if tta:
        hits = int((classifier.probabilities(images.pixels, tta=True).argmax(1) == images.labels).sum())
        metrics["accuracy_tta"] = hits / len(images)
        metrics["intervals"]["accuracy_tta"] = list(wilson_interval(hits, len(images)))
    origin = {"recipe": run.summary().recipe, "dataset": dataset.name, "remarks": list(dataset.remarks)}
    run.write_metrics({**metrics, **origin}, weights_checksum)
    run.write_predictions(probabilities, images.labels, dataset.remarks)
    _draw(run, history, dataset, images, probabilities, metrics)
    return metrics


def evaluate_classifier(classifier: Answering, dataset: Dataset) -> Metrics:
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
    return measure(
        probabilities, dataset.test.labels, classifier.class_names, "test", unsure_below=classifier.unsure_below
    )


def _select_split(run: Run, dataset: Dataset, split: Split) -> Part:
    if split == "test":
        return dataset.test
    return cut(dataset, run.recipe().data, run.environment().seed).validation


def _draw(
    run: Run, history: list[Epoch], dataset: Dataset, images: Part, probabilities: Probabilities, metrics: Metrics
) -> None:
    names, matrix = dataset.class_names, metrics["confusion_matrix"]
    title = f"{run.summary().recipe} on {dataset.name}, {metrics['split']} images (n = {metrics['n']:,})"
    note = " ".join(dataset.remarks)
    figures = {
        "curves": curves(
            [epoch.model_dump() for epoch in history], title=f"{run.summary().recipe} on {dataset.name}", note=note
        ),
        "confusion": confusion(matrix, names, rates=False, title=title, note=note),
        "confusion-rates": confusion(matrix, names, rates=True, title=title, note=note),
        "mistakes": mistakes_sheet(images, probabilities, names, title=title, note=note),
        "confidence": confidence(metrics["calibration"]["bins"], metrics["unsure"], title=title, note=note),
    }
    for name, figure in figures.items():
        save(figure, run.plot_path(name))
