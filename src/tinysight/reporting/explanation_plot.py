"""Plot of explanations: occlusion map, class probabilities and nearest training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tinysight._util.formatting import percent
from tinysight.data.dataset import Pixels
from tinysight.reporting import style
from tinysight.reporting.evaluation_plots import scale_to_box
from tinysight.reporting.style import truncate_middle

_SIDE, _SMALL, _ROW = 192, 96, 264  # dots: side of an image, side of a neighbor, height of a row
_LEFT, _GAP = 26, 14
_MAX_CLASSES, _MAX_LINES = 11, 7  # lines that fit into a row: of classes, and of labels below a neighbor
_HEAT = colormaps["inferno"]
_MAX_ALPHA = 0.62  # opacity of the occlusion map at its maximum


@dataclass(frozen=True)
class Explanation:
    """An image and its explanation.

    Attributes:
        name: name of the image.
        pixels: uint8, (3, height, width).
        occlusion_map: float32, (height, width), 0..1, the occlusion map.
        top_classes: the most probable classes with their probabilities, in descending order. With several labels per
            image, first those that the image gets.
        unsure: whether the classifier abstains.
        neighbors: pixels and label of the nearest training images.
        label: the true class, "" if unknown.
        explained: the class that the map explains.
        predicted_labels: the labels that the image gets, if it may have several; None if it has one class.
    """

    name: str
    pixels: Pixels
    occlusion_map: NDArray[np.float32]
    top_classes: Sequence[tuple[str, float]]
    unsure: bool
    neighbors: Sequence[tuple[Pixels, str]]
    label: str = ""
    explained: str = ""
    predicted_labels: Sequence[str] | None = None


def plot_explanations(explanations: Sequence[Explanation], title: str, note: str = "") -> Figure:
    """Draw one row per explanation.

    Args:
        explanations: the images with their explanations.
        title: title of the plot: recipe, dataset.
        note: a caveat below the title.
    """
    is_multi_label = any(row.predicted_labels is not None for row in explanations)
    classes = "labels that it gets, and in gray others that are probable" if is_multi_label else "most probable classes"
    legend = (
        "Each row: the image; its occlusion map (bright: covering this region lowers the probability"
        f"{' of the label below it' if is_multi_label else ''} most); the {classes}; the training images with the most "
        "similar features, with their labels."
    )
    figure = style.new_figure(len(explanations) * _ROW / style.DPI + 0.1, title, note, legend)
    for number, row in enumerate(explanations):
        _draw_row(figure, row, top=(len(explanations) - number) * _ROW)
    return figure


def _draw_row(figure: Figure, row: Explanation, top: int) -> None:
    image = scale_to_box(row.pixels.transpose(1, 2, 0), _SIDE)
    figure.figimage(image, _LEFT, top - len(image), origin="upper")
    figure.figimage(overlay_map(image, row.occlusion_map), _LEFT + _SIDE + _GAP, top - len(image), origin="upper")
    label = f"label: {row.label}" if row.label else ""
    if row.predicted_labels is not None:
        label = truncate_middle(label.replace("label:", "labels:", 1), 24)  # beside it stands the explained label
    style.write_lines(
        figure, _LEFT, top - len(image) - 6, [(truncate_middle(row.name, 24), style.MUTED), (label, style.MUTED)]
    )
    if row.predicted_labels is not None:
        explained = f"map of: {truncate_middle(row.explained, 16)}"
        style.write_lines(figure, _LEFT + _SIDE + _GAP, top - len(image) - 6, [(explained, style.MUTED)])
    left = _LEFT + 2 * (_SIDE + _GAP) + 10
    lines = [
        (_heading(row), style.MUTED),
        *(
            (f"{percent(p)}  {truncate_middle(name, 18)}", _color(row, name))
            for name, p in row.top_classes[:_MAX_CLASSES]
        ),
    ]
    style.write_lines(figure, left, top - 4, lines, style.BODY)
    for number, (pixels, name) in enumerate(row.neighbors):
        neighbor = scale_to_box(pixels.transpose(1, 2, 0), _SMALL)
        x = left + 210 + number * (_SMALL + _GAP)
        figure.figimage(neighbor, x, top - len(neighbor), origin="upper")
        names = [name] if row.predicted_labels is None else name.split(", ")[:_MAX_LINES]
        lines = [(truncate_middle(line, 11), style.INK) for line in names]
        style.write_lines(figure, x, top - len(neighbor) - 4, lines)


def _heading(row: Explanation) -> str:
    if row.predicted_labels is not None:
        return "labels:" if row.predicted_labels else "no label:"
    return "unsure:" if row.unsure else "prediction:"


def _color(row: Explanation, name: str) -> str:
    return style.INK if row.predicted_labels is None or name in row.predicted_labels else style.MUTED


def overlay_map(image: Pixels, occlusion_map: NDArray[np.float32]) -> Pixels:
    """Return an image, uint8 (height, width, 3), with its occlusion map blended over it (nearest-neighbor)."""
    height, width = image.shape[:2]
    rows, columns = (
        np.arange(height) * occlusion_map.shape[0] // height,
        np.arange(width) * occlusion_map.shape[1] // width,
    )
    enlarged = occlusion_map[np.ix_(rows, columns)][..., None]
    colors = 255 * _HEAT(enlarged[..., 0])[..., :3]
    alpha = 0.25 + (_MAX_ALPHA - 0.25) * enlarged
    mixed: Pixels = ((1 - alpha) * image + alpha * colors).round().astype(np.uint8)
    return mixed
