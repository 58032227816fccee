"""A run told in one page, by the images it was made from, found again."""

from __future__ import annotations

from pathlib import Path

from tinysight.evaluation.images import images_of
from tinysight.progress import SILENT, Progress
from tinysight.reporting.page import Page
from tinysight.reporting.report import report as page
from tinysight.runs.run import Run


def report(run: Run, data_dir: Path | None = None, progress: Progress = SILENT) -> Page:
    """Return the page of a run; a notebook shows it.

    Args:
        run: whose training has come to an end.
        data_dir: where CIFAR-10 lies, if that is to be said.
        progress: told how far the work is.

    Raises:
        RunError: a file of the run is missing or damaged.
        DataError: the images are not those that the run was made from.
    """
    return page(run, images_of(run, data_dir, progress))
