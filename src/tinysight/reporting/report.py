"""A run, told in one HTML page that needs nothing but itself: no network, no other file, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinysight.data.dataset import Dataset, Pixels
from tinysight.data.html import as_url
from tinysight.data.names import names_of
from tinysight.recipes import loading
from tinysight.reporting import charts
from tinysight.reporting.card import Card, measured
from tinysight.reporting.lettering import percent
from tinysight.reporting.mistakes import most_confident_mistakes
from tinysight.reporting.page import Page
from tinysight.reporting.rendering import render
from tinysight.runs.evidence import Evidence
from tinysight.runs.findings import Audit, Gap
from tinysight.runs.run import Run

_MISTAKES, _SUSPECTS, _TWINS, _GAPS, _EXPOSED = 24, 24, 8, 10, 12  # shown at most
_MOST_CELLS = 40  # classes; a larger confusion matrix is no use on a page


@dataclass(frozen=True)
class Shown:
    """A picture on the page: the picture itself, as a data URL, and what is written below it, line by line."""

    source: str
    lines: tuple[str, ...]


def report(run: Run, dataset: Dataset) -> Page:
    """Return the page of a run as HTML; what was not measured says so.

    Args:
        run: whose training has come to an end.
        dataset: the images it was made from.

    Raises:
        RunError: a file of the run is missing or damaged.
    """
    metrics, history = measured(run), run.history()
    album = _Album(dataset)
    page = render(
        "report.html",
        card=Card.of(run),
        summary=run.summary(),
        recipe=loading.dump(run.recipe()),
        history=history,
        learning=[charts.learning(history, key) for key in ("accuracy", "loss")] if history else [],
        metrics=metrics,
        confusion=_confusion(metrics) if metrics else (),
        mistakes=_mistakes(run, metrics, dataset) if metrics else [],
        sure=_sure(metrics) if metrics else [],
        **_audited(Evidence(run).audit(), album),
    )
    return Page(page)


def _sure(metrics: Mapping[str, Any]) -> list[charts.Chart]:
    return [charts.reliability(metrics["calibration"]["bins"]), charts.coverage(metrics["unsure"])]


class _Album:
    """Finds images by their names."""

    def __init__(self, dataset: Dataset) -> None:
        self.images: dict[str, Pixels] = {}
        for split, part in dataset.parts.items():
            self.images.update(zip(names_of(part, split), part.pixels, strict=True))

    def show(self, name: str, *lines: str) -> Shown:
        return Shown(as_url(self.images[name]), (*lines, name)) if name in self.images else Shown("", (*lines, name))


def _confusion(metrics: Mapping[str, Any]) -> list[tuple[str, list[tuple[int, float]]]]:
    """Return for each true class its name, and counts with their shares of the row; nothing if there are too many."""
    names, matrix = list(metrics["per_class"]), np.array(metrics["confusion_matrix"])
    if len(names) > _MOST_CELLS:
        return []
    shares = matrix / np.maximum(1, matrix.sum(1, keepdims=True))
    return [
        (name, [(int(count), float(share)) for count, share in zip(counts, row, strict=True)])
        for name, counts, row in zip(names, matrix, shares, strict=True)
    ]


def _mistakes(run: Run, metrics: Mapping[str, Any], dataset: Dataset) -> list[Shown]:
    """Return the mistakes on test images that the classifier was surest of."""
    if metrics["split"] != "test":
        return []
    probabilities, labels = run.predictions()
    names, classes = names_of(dataset.test, "test"), dataset.class_names
    return [
        Shown(
            as_url(dataset.test.pixels[index]),
            (
                classes[labels[index]],
                f"said {classes[probabilities[index].argmax()]}, {percent(probabilities[index].max())}",
                names[index],
            ),
        )
        for index in most_confident_mistakes(probabilities, labels, _MISTAKES)
    ]


def _audited(found: Audit | None, album: _Album) -> dict[str, Any]:
    """Return what the audit found, ready to be shown."""
    gaps = [*((found and found.groups) or ()), *((found and found.gaps) or ())]
    labels, twins = (found.labels, found.duplicates) if found else (None, None)
    return {
        "robustness": found.robustness if found else None,
        "strangers": found.strangers if found else None,
        "membership": found.membership if found else None,
        "exposed": [
            album.show(name) for name in (found.membership.exposed[:_EXPOSED] if found and found.membership else ())
        ],
        "gaps": _widest(gaps),
        "smallest": min((gap for gap in gaps if gap.figure == "accuracy"), key=lambda gap: gap.n, default=None),
        "suspects": [
            album.show(one.image, f"labelled {one.label}", f"looks like {one.likelier}")
            for one in (labels.suspects[:_SUSPECTS] if labels else ())
        ],
        "twins": [
            (album.show(one.first), album.show(one.second), one) for one in (twins.pairs[:_TWINS] if twins else ())
        ],
    }


def _widest(gaps: Sequence[Gap]) -> list[Gap]:
    """Return the gaps to show: alarms first, then the widest."""
    return sorted(gaps, key=lambda gap: (not gap.alarm, -abs(gap.gap)))[:_GAPS]
