"""Style of all plots: sizes, colors, fonts, and rendering as PNG and SVG.

All settings are made on the figure, never in Matplotlib's global state. So plots can be drawn in any thread and do not
depend on the user's Matplotlib style. The one exception is `to_svg`, because Matplotlib has these settings only
globally; a lock guards them.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from functools import cache
from html import escape
from io import BytesIO, StringIO
from pathlib import Path
from threading import Lock
from typing import Any

from markupsafe import Markup
from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.typing import ColorType

from tinysight._util.files import write_bytes

# The first comes with Matplotlib. The others, where installed, add Chinese, Japanese and Korean.
_FAMILIES = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Arial Unicode MS")


@cache
def font_families() -> list[str]:
    """Return the installed font families, in the order of preference."""
    installed = set(font_manager.get_font_names())
    return [family for family in _FAMILIES if family in installed]


def drawable(text: str) -> str:
    """Return `text` with U+FFFD for each character that no font can draw, such as a line break or a lone surrogate.

    Class names are often folder names, which can hold any character.
    """
    return "".join(character if ord(character) in _drawable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def truncate_middle(text: str, max_length: int) -> str:
    """Return `text` as drawable characters, its middle truncated to at most `max_length` characters.

    >>> truncate_middle("Cavalier King Charles Spaniel", 16)
    'Cavalier…Spaniel'
    """
    text = drawable(text)
    if len(text) <= max_length:
        return text
    tail = (max_length - 1) // 2
    return f"{text[: max_length - 1 - tail].rstrip()}…{text[-tail:].lstrip()}"


@cache
def _drawable() -> frozenset[int]:
    fonts = [font_manager.get_font(font_manager.findfont(family)) for family in font_families()]
    return frozenset().union(*(font.get_charmap() for font in fonts))


WIDTH, DPI = 12.0, 100  # inches, dots per inch: 1200 pixels wide

PAPER, INK, MUTED, RULE = "#ffffff", "#222222", "#666666", "#dddddd"
LIGHT = "#fdfdfd"  # text on dark cells; unlike PAPER, light in the dark theme of a page as well
# Blue and vermilion of Okabe & Ito, "Color Universal Design", 2008: distinguishable with color blindness.
TRAINING, VALIDATION = "#0072b2", "#d55e00"

SMALL, BODY, HEADING, TITLE = 10.5, 12.0, 13.0, 17.0  # points

_MARGIN, _LINE = 0.25, 0.29  # inches
_TITLE_CHARACTERS, _NOTE_CHARACTERS = 84, 118
_LINE_DOTS = 19  # from one line of `write_lines` to the next

_CSS_VARIABLES = {
    PAPER: "var(--paper)",
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    TRAINING: "var(--training)",
    VALIDATION: "var(--validation)",
}
_svg_lock = Lock()


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


def new_panel(width: float, height: float) -> Figure:
    """Return a figure without a title, for a page that has the title; the size is in inches."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER)
    figure.set_layout_engine("none")
    return figure


def add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes to `figure`; position and size are in inches from the lower left corner."""
    whole_width, whole_height = figure.get_size_inches()
    box = (left / whole_width, bottom / whole_height, width / whole_width, height / whole_height)
    return figure.add_axes(box, facecolor=PAPER)


def font(size: float = BODY, color: str = INK, **more: Any) -> dict[str, Any]:
    """Return the text properties for Matplotlib.

    Math is off, so that a dollar sign is drawn as such. The weight is normal, because bold fonts lack characters that
    `drawable` finds in the regular fonts.
    """
    defaults = {"fontfamily": font_families(), "fontweight": "normal", "parse_math": False}
    return {"fontsize": size, "color": color, **defaults, **more}


def label_axes(axes: Axes, heading: str, x_label: str, y_label: str, above: float = 18) -> None:
    """Write a heading, `above` points above the axes, and the labels of both axes; style the axes."""
    position: dict[str, Any] = {
        "xy": (0, 1),
        "xycoords": "axes fraction",
        "xytext": (0, above),
        "textcoords": "offset points",
    }
    axes.annotate(heading, **position, **font(HEADING))
    axes.set_xlabel(x_label, labelpad=6, **font())
    axes.set_ylabel(y_label, labelpad=8, **font())
    style_axes(axes)


def write_lines(figure: Figure, left: float, top: float, lines: Sequence[tuple[str, str]], size: float = SMALL) -> None:
    """Write lines of text, each with its color, below each other; the position of the first is in dots."""
    width, height = figure.get_size_inches() * DPI
    for number, (line, color) in enumerate(lines):
        figure.text(left / width, (top - _LINE_DOTS * number) / height, line, va="top", **font(size, color))


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
    """Return the text color, `INK` or `LIGHT`, with the higher contrast on a background.

    Relative luminance and contrast ratio are those of the Web Content Accessibility Guidelines 2.2.
    """
    luminance = _luminance(background)
    contrast_of_light = (_luminance(LIGHT) + 0.05) / (luminance + 0.05)
    contrast_of_ink = (luminance + 0.05) / (_luminance(INK) + 0.05)
    return LIGHT if contrast_of_light > contrast_of_ink else INK


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


def to_svg(figure: Figure, label: str) -> Markup:
    """Return `figure` as an `<svg>` element for a page.

    The text stays text, in the font of the page. The colors of this module become the CSS variables of the page
    (`--ink`, `--paper`, ...), so that a dark theme applies. Equal figures give equal text.

    Args:
        figure: the figure. Nothing is clipped at the axes.
        label: description for screen readers.
    """
    buffer = StringIO()
    with _svg_lock, rc_context({"svg.fonttype": "none", "svg.hashsalt": "tinysight"}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"<clipPath.*?</clipPath>", "", text, flags=re.DOTALL)
    used = frozenset(re.findall(r'href="#([^"]+)"', text))
    text = re.sub(r"<[^>]*>", lambda tag: _adapt_tag(tag[0], used), text)
    width, height = figure.get_size_inches() * 72
    start = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
    return Markup(start + text[text.index(">") + 1 :].strip())  # noqa: S704 (Matplotlib escapes the text)


def _adapt_tag(tag: str, used: frozenset[str]) -> str:
    """Return an SVG tag without fonts, clipping and ids that nothing uses, and with CSS variables as colors."""
    tag = re.sub(r' clip-path="[^"]*"|font-family: [^;"]*;?', "", tag)
    tag = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", tag)
    tag = re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", tag)
    for color, variable in _CSS_VARIABLES.items():
        tag = tag.replace(color, variable)
    return tag
