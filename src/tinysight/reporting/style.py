"""How every plot looks: size, colours, lettering, and the way into a file.

Everything is set on the figure itself, never in Matplotlib's global state, so that plots can be drawn in
any thread of any program, and come out dark on light even where that program prefers light on dark.
"""

from __future__ import annotations

import textwrap
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.typing import ColorType

from tinysight.files import write_bytes
from tinysight.reporting.lettering import families, legible

WIDTH, DPI = 12.0, 100  # inches and dots an inch: 1200 pixels wide

PAPER, INK, MUTED, RULE = "#ffffff", "#222222", "#666666", "#dddddd"
# Blue and vermilion of Okabe & Ito, "Color Universal Design", 2008: told apart by the colour-blind too.
TRAINING, VALIDATION = "#0072b2", "#d55e00"

SMALL, BODY, HEADING, TITLE = 10.5, 12.0, 13.0, 17.0  # points

_MARGIN, _LINE = 0.25, 0.29  # inches
_TITLE_CHARACTERS, _NOTE_CHARACTERS = 84, 118


def page(height: float, title: str, *notes: str) -> Figure:
    """Return a white figure with `height` inches of room below a title and, if not empty, some notes."""
    lines = [(line, font(TITLE)) for line in textwrap.wrap(legible(title), _TITLE_CHARACTERS)]
    for note in notes:
        lines += [(line, font()) for line in textwrap.wrap(legible(note), _NOTE_CHARACTERS)]
    whole = height + _MARGIN + _LINE * len(lines)
    figure = Figure(figsize=(WIDTH, whole), dpi=DPI, facecolor=PAPER)
    figure.set_layout_engine("none")
    for number, (line, looks) in enumerate(lines):
        baseline = whole - _LINE * (number + 1)
        figure.text(_MARGIN / WIDTH, baseline / whole, line, **looks)
    return figure


def place(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Return new axes on `figure` at a place given in inches from its lower left corner."""
    whole_width, whole_height = figure.get_size_inches()
    box = (left / whole_width, bottom / whole_height, width / whole_width, height / whole_height)
    return figure.add_axes(box, facecolor=PAPER)


def font(size: float = BODY, colour: str = INK, **more: Any) -> dict[str, Any]:
    """Return the keywords that every piece of text is drawn with.

    A dollar sign is only a dollar sign. Nothing is bold, since bold fonts lack characters that `legible`
    found in the regular ones.
    """
    plain = {"fontfamily": families(), "fontweight": "normal", "parse_math": False}
    return {"fontsize": size, "color": colour, **plain, **more}


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


def readable_on(background: ColorType) -> str:
    """Return ink or paper, whichever stands out more from a background.

    By the relative luminance and contrast ratio of the Web Content Accessibility Guidelines 2.2.
    """
    behind = _luminance(background)
    contrast_of_paper = (1 + 0.05) / (behind + 0.05)
    contrast_of_ink = (behind + 0.05) / (_luminance(INK) + 0.05)
    return PAPER if contrast_of_paper > contrast_of_ink else INK


def _luminance(colour: ColorType) -> float:
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def save(figure: Figure, path: Path) -> None:
    """Write `figure` to `path` as a PNG, whole or not at all.

    Raises:
        StorageError: the disk is full, or the folder cannot be written.
    """
    picture = BytesIO()
    FigureCanvasAgg(figure).print_png(picture)  # type: ignore[no-untyped-call]
    write_bytes(path, picture.getvalue())
