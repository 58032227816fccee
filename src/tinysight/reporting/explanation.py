"""Why a classifier said what it said, as a picture: where it looked, how sure it is, what alike it has learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tinysight.data.dataset import Pixels
from tinysight.reporting import style
from tinysight.reporting.lettering import elide
from tinysight.reporting.mistakes import fitted

_SIDE, _SMALL, _ROW = 192, 96, 264  # dots: a picture, a neighbour, a row
_LEFT, _GAP = 26, 14
_HEAT = colormaps["inferno"]
_VEIL = 0.62  # of the heat over the picture, where it is hottest


@dataclass(frozen=True)
class Explained:
    """One picture and its explanation.

    Attributes:
        name: what it is called.
        pixels: uint8, (3, height, width).
        heat: float32, (height, width), 0..1.
        choices: the likeliest classes with their probabilities, the likeliest first.
        unsure: whether the first is too unlikely to be an answer.
        neighbours: the pixels of the nearest training images, and the class that each is labelled as.
        label: the true class, "" if nobody knows.
    """

    name: str
    pixels: Pixels
    heat: NDArray[np.float32]
    choices: Sequence[tuple[str, float]]
    unsure: bool
    neighbours: Sequence[tuple[Pixels, str]]
    label: str = ""


def explanations(explained: Sequence[Explained], title: str, note: str = "") -> Figure:
    """Draw a row for each picture.

    Args:
        explained: the pictures.
        title: whose answers these are.
        note: what a reader must know before trusting the sheet.
    """
    how = (
        "Each row: the picture; how much less sure it is where the picture is covered (bright is much); the "
        "likeliest classes; the training images that look most alike to the classifier, with their labels."
    )
    figure = style.page(len(explained) * _ROW / style.DPI + 0.1, title, note, how)
    for number, one in enumerate(explained):
        _row(figure, one, top=(len(explained) - number) * _ROW)
    return figure


def _row(figure: Figure, one: Explained, top: int) -> None:
    plain = fitted(one.pixels.transpose(1, 2, 0), _SIDE)
    figure.figimage(plain, _LEFT, top - len(plain), origin="upper")
    figure.figimage(veiled(plain, one.heat), _LEFT + _SIDE + _GAP, top - len(plain), origin="upper")
    label = f"labelled {one.label}" if one.label else ""
    _write(figure, _LEFT, top - len(plain) - 6, [(elide(one.name, 24), style.MUTED), (label, style.MUTED)])
    left = _LEFT + 2 * (_SIDE + _GAP) + 10
    verdict = "unsure between" if one.unsure else "says"
    lines = [(verdict, style.MUTED), *((f"{100 * p:.1f} %  {elide(name, 18)}", style.INK) for name, p in one.choices)]
    _write(figure, left, top - 4, lines, style.BODY)
    for place, (pixels, name) in enumerate(one.neighbours):
        picture = fitted(pixels.transpose(1, 2, 0), _SMALL)
        across = left + 210 + place * (_SMALL + _GAP)
        figure.figimage(picture, across, top - len(picture), origin="upper")
        _write(figure, across, top - len(picture) - 4, [(elide(name, 11), style.INK)])


def veiled(picture: Pixels, heat: NDArray[np.float32]) -> Pixels:
    """Return a picture, (height, width, 3), with the heat of each place laid over it, enlarged as it is."""
    height, width = picture.shape[:2]
    rows, columns = np.arange(height) * heat.shape[0] // height, np.arange(width) * heat.shape[1] // width
    enlarged = heat[np.ix_(rows, columns)][..., None]
    colours = 255 * _HEAT(enlarged[..., 0])[..., :3]
    share = 0.25 + (_VEIL - 0.25) * enlarged
    mixed: Pixels = ((1 - share) * picture + share * colours).round().astype(np.uint8)
    return mixed


def _write(figure: Figure, left: int, top: int, lines: Sequence[tuple[str, str]], size: float = style.SMALL) -> None:
    width, height = figure.get_size_inches() * style.DPI
    for number, (line, colour) in enumerate(lines):
        look = style.font(size, colour)
        figure.text(left / width, (top - 19 * number) / height, line, va="top", **look)
