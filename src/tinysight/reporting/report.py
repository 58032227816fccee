"""Report of a run: one self-contained HTML page without scripts or external files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from tinysight._util.formatting import percent
from tinysight.data.dataset import Dataset, Pixels
from tinysight.data.image_html import to_data_uri
from tinysight.data.image_ids import image_ids
from tinysight.recipes import loading
from tinysight.reporting.card import Card, load_metrics
from tinysight.reporting.evaluation_plots import (
    HOW_TO_READ,
    calibration_panels,
    confusion_panel,
    most_confident_mistakes,
)
from tinysight.reporting.learning_curves import HOW_MEASURED, learning_curve_panels
from tinysight.reporting.rendering import HtmlPage, render
from tinysight.reporting.section import ListedImage, ReportSection
from tinysight.reporting.style import to_svg
from tinysight.runs.records import Metrics
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import test_ids

_MAX_MISTAKES = 24  # on the page


@dataclass(frozen=True)
class Thumbnail:
    """An image on the page: its data URL ("" if not available) and the lines below it."""

    data_url: str
    lines: tuple[str, ...]


def render_report(run: Run, dataset: Dataset, audit: Sequence[ReportSection]) -> HtmlPage:
    """Return the report of a run as HTML; it marks what was not measured.

    Args:
        run: a finished run.
        dataset: the dataset of the run.
        audit: sections of the run's audit, from `tinysight.auditing.registry.report_sections`.

    Raises:
        RunError: a file of the run is missing or damaged.
    """
    summary, metrics, history = run.summary(), load_metrics(run), run.history()
    multi_class = metrics if isinstance(metrics, Metrics) else None
    images = _ImageLookup(dataset)
    page = render(
        "report.html",
        card=Card.from_run(run, audit),
        summary=summary,
        recipe=loading.dump_recipe(run.recipe()),
        history=history,
        learning=_svgs(learning_curve_panels([epoch.model_dump() for epoch in history], summary.task))
        if history
        else [],
        how_measured=HOW_MEASURED,
        metrics=metrics,
        confusion=_confusion(multi_class) if multi_class else ("", ""),
        mistakes=_mistakes(run, multi_class, images, dataset) if multi_class else [],
        n_mistakes=_n_mistakes(multi_class) if multi_class else 0,
        calibration=_svgs(calibration_panels(multi_class.calibration.bins, multi_class.selective))
        if multi_class
        else [],
        how_to_read=HOW_TO_READ,
        audit=audit,
        show=images.show,
    )
    return HtmlPage(page)


def _svgs(panels: Sequence[tuple[str, Figure]]) -> list[Markup]:
    return [to_svg(figure, label) for label, figure in panels]


class _ImageLookup:
    """The images of a dataset by name."""

    def __init__(self, dataset: Dataset) -> None:
        self.images: dict[str, Pixels] = {}
        for split, part in dataset.splits.items():
            self.images.update(zip(image_ids(part, split), part.pixels, strict=True))

    def show(self, listed: ListedImage) -> Thumbnail:
        """Return an image and its lines; without the image if it is missing."""
        pixels = self.images.get(listed.image)
        return Thumbnail("" if pixels is None else to_data_uri(pixels), (*listed.lines, listed.image))


def _confusion(metrics: Metrics) -> tuple[str, Markup]:
    """Return the most frequent mistakes in words, and the confusion matrix."""
    mistakes, figure = confusion_panel(metrics.confusion_matrix, list(metrics.per_class))
    return mistakes, to_svg(figure, "Confusion matrix: true classes by predicted classes")


def _mistakes(run: Run, metrics: Metrics, images: _ImageLookup, dataset: Dataset) -> list[Thumbnail]:
    """Return the most confident mistakes on test images."""
    if metrics.split != "test":
        return []
    probabilities, labels = run.predictions()
    names, classes = test_ids(run, dataset), dataset.class_names
    return [
        images.show(
            ListedImage(
                names[index],
                (
                    f"true {classes[labels[index]]}",
                    f"predicted {classes[probabilities[index].argmax()]}, {percent(probabilities[index].max())}",
                ),
            )
        )
        for index in most_confident_mistakes(probabilities, labels, _MAX_MISTAKES)
    ]


def _n_mistakes(metrics: Metrics) -> int:
    matrix = np.array(metrics.confusion_matrix)
    return int(matrix.sum() - matrix.trace())
