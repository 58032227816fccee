"""The report of a run, from its own dataset."""

from __future__ import annotations

from pathlib import Path

from tinysight._util.progress import SILENT, Progress
from tinysight.reporting.rendering import HtmlPage
from tinysight.reporting.report import render_report as page
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import open_dataset


def report(run: Run, data_dir: Path | None = None, progress: Progress = SILENT) -> HtmlPage:
    """Return the HTML report of a run; notebooks display it.

    Args:
        run: a finished run.
        data_dir: the CIFAR-10 folder; by default, the one used in training.
        progress: receives the progress of loading the dataset.

    Raises:
        RunError: a file of the run is missing or damaged.
        DataError: the images are not those that the run was trained on.
    """
    return page(run, open_dataset(run, data_dir=data_dir, progress=progress))
