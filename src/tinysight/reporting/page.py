"""HTML page that notebooks display."""

from __future__ import annotations

from html import escape


class Page(str):
    """The HTML of a complete page, which a notebook shows in a sandboxed frame."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        frame = "width:100%;height:720px;border:1px solid #8886;border-radius:8px"
        return f'<iframe sandbox srcdoc="{escape(self)}" style="{frame}" title="report"></iframe>'
