"""Several runs, told in one HTML page: their figures side by side, their differences, and where they disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Dataset, Labels
from tinysight.data.html import as_url
from tinysight.data.names import names_of
from tinysight.reporting.card import Card, measured
from tinysight.reporting.rendering import render
from tinysight.reporting.report import Shown
from tinysight.runs.findings import Comparison
from tinysight.runs.run import Run

_SHOWN = 12  # pictures that one run alone is right about


def comparison(
    runs: Mapping[str, Run],
    comparisons: Sequence[Comparison],
    only_right: Mapping[str, NDArray[np.int64]],
    answers: Mapping[str, Labels],
    dataset: Dataset,
    split: str,
) -> str:
    """Return the page as HTML.

    Args:
        runs: by the names they are called on the page.
        comparisons: of every two of them.
        only_right: by run, the indices of the images that it alone is right about.
        answers: by run, the class that each image is told to be.
        dataset: whose `split` images these are.
        split: "test", or another whose pictures are not shown.
    """
    pictures = {
        name: [_shown(dataset, index, answers) for index in indices[:_SHOWN]] if split == "test" else []
        for name, indices in only_right.items()
    }
    return render(
        "compare.html",
        cards={name: Card.of(run) for name, run in runs.items()},
        metrics={name: measured(run) for name, run in runs.items()},
        comparisons=comparisons,
        counts={name: len(indices) for name, indices in only_right.items()},
        pictures_of=pictures,
        split=split,
    )


def _shown(dataset: Dataset, index: int, answers: Mapping[str, Labels]) -> Shown:
    classes, test = dataset.class_names, dataset.test
    said = [f"{name}: {classes[of_run[index]]}" for name, of_run in answers.items()]
    return Shown(as_url(test.pixels[index]), (classes[test.labels[index]], *said, names_of(test, "test")[index]))
