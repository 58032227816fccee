"""Plots of an evaluated run: learning curves, confusion, mistakes, calibration."""

from __future__ import annotations

from tinysight.data.dataset import Dataset
from tinysight.evaluation.evaluate import select_split
from tinysight.reporting.calibration_plot import plot_calibration
from tinysight.reporting.confusion_plot import plot_confusion_matrix
from tinysight.reporting.learning_curves import plot_learning_curves
from tinysight.reporting.mistakes_plot import plot_mistakes
from tinysight.reporting.style import save
from tinysight.runs.run import Run


def plot_evaluation(run: Run, dataset: Dataset) -> None:
    """Plot the evaluation of a run and save the plots in its directory.

    Args:
        run: an evaluated run.
        dataset: the dataset of the run, from `open_dataset`.

    Raises:
        RunError: the run was not evaluated, or one of its files is damaged.
        StorageError: a plot cannot be written.
    """
    metrics, names = run.metrics(), dataset.class_names
    probabilities, _ = run.predictions()
    title, note = f"{metrics.recipe} on {metrics.dataset}", " ".join(metrics.notes)
    of_images = f"{title}, {metrics.split} images (n = {metrics.n:,})"
    history = [epoch.model_dump() for epoch in run.history()]
    matrix, images = metrics.confusion_matrix, select_split(run, dataset, metrics.split)
    figures = {
        "curves": plot_learning_curves(history, title=title, note=note),
        "confusion": plot_confusion_matrix(matrix, names, rates=False, title=of_images, note=note),
        "confusion-rates": plot_confusion_matrix(matrix, names, rates=True, title=of_images, note=note),
        "mistakes": plot_mistakes(images, probabilities, names, title=of_images, note=note),
        "confidence": plot_calibration(metrics.calibration.bins, metrics.selective, title=of_images, note=note),
    }
    for name, figure in figures.items():
        save(figure, run.plot_path(name))
