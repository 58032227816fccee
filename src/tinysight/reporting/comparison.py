"""HTML page that compares runs: metrics, significance tests and disagreements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Dataset, Labels
from tinysight.data.image_html import to_data_uri
from tinysight.data.image_ids import image_ids
from tinysight.data.labels import describe_label
from tinysight.reporting.card import Card, load_metrics
from tinysight.reporting.rendering import render
from tinysight.reporting.report import Thumbnail
from tinysight.runs.audit_results import PairedComparison
from tinysight.runs.run import Run

_MAX_IMAGES = 12  # per run


def render_comparison(
    runs: Mapping[str, Run],
    comparisons: Sequence[PairedComparison],
    only_right: Mapping[str, NDArray[np.int64]],
    predicted: Mapping[str, Labels],
    dataset: Dataset,
    split: str,
) -> str:
    """Return the page as HTML.

    Args:
        runs: the runs by name.
        comparisons: the comparison of each pair of runs.
        only_right: by run, the indices of the images that only this run classifies correctly.
        predicted: by run, the predicted classes or labels.
        dataset: the dataset of the runs.
        split: the evaluated split. Images are shown only for "test".
    """
    images = {
        name: [_image(dataset, index, predicted) for index in indices[:_MAX_IMAGES]] if split == "test" else []
        for name, indices in only_right.items()
    }
    return render(
        "compare.html",
        cards={name: Card.from_run(run) for name, run in runs.items()},
        metrics={name: load_metrics(run) for name, run in runs.items()},
        comparisons=comparisons,
        counts={name: len(indices) for name, indices in only_right.items()},
        images_of=images,
        split=split,
        task=dataset.task,
    )


def _image(dataset: Dataset, index: int, answers: Mapping[str, Labels]) -> Thumbnail:
    classes, test = dataset.class_names, dataset.test
    predictions = [f"{name}: {describe_label(predicted[index], classes)}" for name, predicted in answers.items()]
    lines = (describe_label(test.labels[index], classes), *predictions, image_ids(test, "test")[index])
    return Thumbnail(to_data_uri(test.pixels[index]), lines)
