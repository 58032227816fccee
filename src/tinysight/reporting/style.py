"""Style of all plots: sizes, colors, fonts, and saving as PNG.

All settings are made on the figure, never in Matplotlib's global state. So plots can be drawn in any thread and do not
depend on the user's Matplotlib style.
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

from tinysight._util.files import write_bytes
from tinysight.reporting.text import drawable, font_families

WIDTH, DPI = 12.0, 100  # inches, dots per inch: 1200 pixels wide

PAPER, INK, MUTED, RULE = "#ffffff", "#222222", "#666666", "#dddddd"
# Blue and vermilion of Okabe & Ito, "Color Universal Design", 2008: distinguishable with color blindness.
TRAINING, VALIDATION = "#0072b2", "#d55e00"

SMALL, BODY, HEADING, TITLE = 10.5, 12.0, 13.0, 17.0  # points

_MARGIN, _LINE = 0.25, 0.29  # inches
_TITLE_CHARACTERS, _NOTE_CHARACTERS = 84, 118


def new_figure(height: float, title: str, *notes: str) -> Figure:
    """Return a figure with `height` inches below a title and the notes; empty notes are skipped."""
    lines = [(line, font(TITLE)) for line in textwrap.wrap(drawable(title), _TITLE_CHARACTERS)]
    for note in notes:
        lines += [(line, font()) for line in textwrap.wrap(drawable(note), _NOTE_CHARACTERS)]
    whole = height + _MARGIN + _LINE * len(lines)
    figure = Figure(figsize=(WIDTH, whole), dpi=DPI, facecolor=PAPER)
    figure.set_layout_engine("none")
    for number, (line, text_style) in enumerate(lines):
        baseline = whole - _LINE * (number + 1)
        figure.text(_MARGIN / WIDTH, baseline / whole, line, **text_style)
    return figure


def add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes to `figure`; position and size are in inches from the lower left corner."""
    whole_width, whole_height = figure.get_size_inches()
    box = (left / whole_width, bottom / whole_height, width / whole_width, height / whole_height)
    return figure.add_axes(box, facecolor=PAPER)


def font(size: float = BODY, color: str = INK, **more: Any) -> dict[str, Any]:
    """Return the text properties for Matplotlib.

    Math is off, so that a dollar sign is drawn as such. The weight is normal, because bold fonts lack characters that
    `legible` finds in the regular fonts.
    """
    defaults = {"fontfamily": font_families(), "fontweight": "normal", "parse_math": False}
    return {"fontsize": size, "color": color, **defaults, **more}


def style_axes(axes: Axes) -> None:
    """Remove the top and right spine and add a pale horizontal grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.grid(visible=True, axis="y", color=RULE, linewidth=1)
    axes.set_axisbelow(True)
    style_ticks(axes)


def style_ticks(axes: Axes) -> None:
    """Set font and color of the tick labels."""
    axes.tick_params(labelsize=SMALL, labelcolor=INK, color=MUTED, labelfontfamily=font_families())


def text_color_on(background: ColorType) -> str:
    """Return the text color, `INK` or `PAPER`, with the higher contrast on a background.

    Relative luminance and contrast ratio are those of the Web Content Accessibility Guidelines 2.2.
    """
    luminance = _luminance(background)
    contrast_of_paper = (1 + 0.05) / (luminance + 0.05)
    contrast_of_ink = (luminance + 0.05) / (_luminance(INK) + 0.05)
    return PAPER if contrast_of_paper > contrast_of_ink else INK


def _luminance(color: ColorType) -> float:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def save(figure: Figure, path: Path) -> None:
    """Write `figure` to `path` as a PNG, atomically.

    Raises:
        StorageError: the disk is full or the directory is not writable.
    """
    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)  # type: ignore[no-untyped-call]
    write_bytes(path, buffer.getvalue())
