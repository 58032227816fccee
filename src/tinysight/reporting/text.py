"""Text that Matplotlib can draw: fonts, missing characters, truncation."""

from __future__ import annotations

from functools import cache

from matplotlib import font_manager

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
