"""How every plot looks: size, colours, lettering, and the way into a file.

Everything is set on the figure itself, never in Matplotlib's global state, so that plots can be drawn in
any thread of any program and look the same whatever that program has set.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from tinysight.files import write_bytes
from tinysight.reporting.lettering import families, legible

WIDTH, DPI = 12.0, 100  # inches and dots an inch: 1200 pixels wide

PAPER, INK, MUTED, RULE = "#ffffff", "#222222", "#666666", "#dddddd"
# Blue and vermilion of Okabe & Ito, "Color Universal Design", 2008: told apart by the colour-blind too.
TRAINING, VALIDATION = "#0072b2", "#d55e00"

SMALL, BODY, HEADING, TITLE = 10.5, 12.0, 13.0, 15.0  # points

_MARGIN, _LINE = 0.25, 0.28  # inches
_TITLE_CHARACTERS, _NOTE_CHARACTERS = 82, 110


def page(height: float, title: str, *notes: str) -> Figure:
    """Return a white figure with `height` inches of room below a title and, if not empty, some notes."""
    lines = [(line, font(TITLE, fontweight="bold")) for line in textwrap.wrap(legible(title), _TITLE_CHARACTERS)]
    for note in notes:
        lines += [(line, font(HEADING, MUTED)) for line in textwrap.wrap(legible(note), _NOTE_CHARACTERS)]
    whole = height + _MARGIN + _LINE * len(lines)
    figure = Figure(figsize=(WIDTH, whole), dpi=DPI, facecolor=PAPER, layout="none")
    for number, (line, looks) in enumerate(lines):
        top = whole - _MARGIN / 2 - number * _LINE
        figure.text(_MARGIN / WIDTH, top / whole, line, va="top", **looks)
    return figure


def place(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Return new axes on `figure` at a place given in inches from its lower left corner."""
    whole_width, whole_height = figure.get_size_inches()
    box = (left / whole_width, bottom / whole_height, width / whole_width, height / whole_height)
    return figure.add_axes(box, facecolor=PAPER)


def font(size: float = BODY, colour: str = INK, **more: Any) -> dict[str, Any]:
    """Return the keywords that every piece of text is drawn with; a dollar sign is only a dollar sign."""
    return {"fontfamily": families(), "fontsize": size, "color": colour, "parse_math": False, **more}


def plain_frame(axes: Axes) -> None:
    """Leave of the frame the two sides that carry a scale, with pale lines to read values along."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.grid(visible=True, axis="y", color=RULE, linewidth=1)
    axes.set_axisbelow(True)
    plain_ticks(axes)


def plain_ticks(axes: Axes) -> None:
    """Letter the numbers of both scales."""
    axes.tick_params(labelsize=SMALL, labelcolor=INK, color=MUTED, labelfontfamily=families())


def readable_on(background: Sequence[float]) -> str:
    """Return ink or paper, whichever stands out more from a background (red, green, blue; each 0..1).

    By the relative luminance and contrast ratio of the Web Content Accessibility Guidelines 2.2.
    """
    behind = _luminance(background)
    contrast_of_paper = (1 + 0.05) / (behind + 0.05)
    contrast_of_ink = (behind + 0.05) / (_luminance(to_rgb(INK)) + 0.05)
    return PAPER if contrast_of_paper > contrast_of_ink else INK


def _luminance(colour: Sequence[float]) -> float:
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def save(figure: Figure, path: Path) -> None:
    """Write `figure` to `path` as a PNG, whole or not at all.

    Raises:
        StorageError: the disk is full, or the folder cannot be written.
    """
    picture = BytesIO()
    FigureCanvasAgg(figure).print_png(picture)
    write_bytes(path, picture.getvalue())
