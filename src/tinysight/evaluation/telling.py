"""The report of a run, from its own dataset."""

from __future__ import annotations

from pathlib import Path

from tinysight.evaluation.images import images_of
from tinysight.progress import SILENT, Progress
from tinysight.reporting.page import Page
from tinysight.reporting.report import report as page
from tinysight.runs.run import Run


def report(run: Run, data_dir: Path | None = None, progress: Progress = SILENT) -> Page:
    """Return the HTML report of a run; notebooks display it.

    Args:
        run: a finished run.
        data_dir: the CIFAR-10 folder; by default, the one used in training.
        progress: receives the progress of loading the dataset.

    Raises:
        RunError: a file of the run is missing or damaged.
        DataError: the images are not those that the run was trained on.
    """
    return page(run, images_of(run, data_dir, progress))
