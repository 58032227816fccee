"""Rendering of the Jinja templates of cards and reports."""

from __future__ import annotations

from functools import cache
from html import escape

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from tinysight._util.formatting import percent, percent_interval, points


def render(template: str, **values: object) -> str:
    """Return a rendered template; values in `.html` templates are escaped."""
    return _environment().get_template(template).render(**values)


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
