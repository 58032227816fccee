"""Turning names into text that a picture can show."""

from __future__ import annotations

from functools import cache

from matplotlib import font_manager

# The first comes with Matplotlib. The others, where installed, add Chinese, Japanese and Korean.
_FAMILIES = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Arial Unicode MS")


@cache
def families() -> list[str]:
    """Return the installed font families to draw with, in the order in which to look for a character."""
    installed = set(font_manager.get_font_names())
    return [family for family in _FAMILIES if family in installed]


def legible(text: str) -> str:
    """Return `text` with a replacement mark for each character no font can draw: a line break, half a pair.

    Class names are often folder names, and those may hold anything.
    """
    return "".join(character if ord(character) in _drawable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def elide(text: str, limit: int) -> str:
    """Return `text` legibly in at most `limit` characters, its middle left out if it is longer.

    >>> elide("Cavalier King Charles Spaniel", 16)
    'Cavalier…Spaniel'
    """
    text = legible(text)
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail].rstrip()}…{text[-tail:].lstrip()}"


def percent(confidence: float) -> str:
    """Return a confidence, 0..1, for people: near certainty keeps a decimal, as 99.7 % is not 100 %.

    >>> percent(0.5), percent(0.997)
    ('50 %', '99.7 %')
    """
    return f"{100 * confidence:.{1 if confidence > 0.99 else 0}f} %"


@cache
def _drawable() -> frozenset[int]:
    fonts = [font_manager.get_font(font_manager.findfont(family)) for family in families()]
    return frozenset().union(*(font.get_charmap() for font in fonts))
