"""Rendering of the Jinja templates of cards and reports."""

from __future__ import annotations

import re
from functools import cache
from html import escape

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from tinysight._util.formatting import percent, percent_interval, points


def render(template: str, **values: object) -> str:
    """Return a rendered template; values in `.html` templates are escaped."""
    return _environment().get_template(template).render(**values)


def escape_markdown(text: object) -> Markup:
    """Return `text` as one line of Markdown without markup.

    Class and dataset names are often folder names, which can hold anything, such as an image that a reader's browser
    would load. Line breaks become spaces.
    """
    if isinstance(text, Markup):
        return text
    one_line = " ".join(str(text).split())
    escaped = re.sub(r"([\\`*_\[\]<>|~&$])", r"\\\1", one_line)
    escaped = re.sub(r"^(\d*)([-#+=.)])", r"\1\\\2", escaped)  # headings and lists
    return Markup(escaped.replace("://", ":\\//"))  # noqa: S704 (escaped above); no automatic links


@cache
def _environment() -> Environment:
    loader = PackageLoader("tinysight.reporting")
    environment = Environment(
        loader=loader,
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "md": escape_markdown,
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "percent": percent,
        "percent_interval": percent_interval,
        "points": points,
    }
    return environment


class HtmlPage(str):
    """The HTML of a complete page, which a notebook shows in a sandboxed frame."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        frame = "width:100%;height:720px;border:1px solid #8886;border-radius:8px"
        return f'<iframe sandbox srcdoc="{escape(self)}" style="{frame}" title="report"></iframe>'
