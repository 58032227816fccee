"""Progress bar of a notebook: HTML that is updated in place, without ipywidgets."""

from __future__ import annotations

import time
from collections.abc import Mapping
from html import escape
from typing import Any

from tinysight.screen.bar import told

_REFRESH_SECONDS = 0.2

_displays: dict[int, Any] = {}  # display handle by execution count of the cell


class NotebookBar:
    """Progress bar for one task; it is erased when it stops. All bars of a cell share one display."""

    def __init__(self, task: str, total: int, unit: str) -> None:
        self._task, self._total, self._unit = task, total, unit
        self._done, self._start_time, self._draw_time = 0, time.monotonic(), 0.0
        self._display = _display()
        self._draw({})

    def advance(self, amount: int, figures: Mapping[str, float]) -> None:
        """Advance the bar by `amount` units, and show `figures`."""
        self._done += amount
        if time.monotonic() - self._draw_time > _REFRESH_SECONDS:
            self._draw(figures)

    def stop(self) -> None:
        """Erase the bar."""
        self._display.update({"text/html": "", "text/plain": ""}, raw=True)

    def _draw(self, figures: Mapping[str, float]) -> None:
        self._draw_time = time.monotonic()
        speed = self._done / max(self._draw_time - self._start_time, 1e-9)
        left = (self._total - self._done) / speed if self._total and self._done else None
        text = f"{self._task}  {told(speed, self._unit, figures, left)}"
        attributes = f'max="{self._total}" value="{self._done}"' if self._total else ""
        bar = f"<progress {attributes}></progress> {escape(text)}"
        html = f'<div style="font-family: monospace; white-space: pre">{bar}</div>'
        self._display.update({"text/html": html, "text/plain": text}, raw=True)


def _display() -> Any:
    """Return the display handle of the current cell, above its printed output."""
    from IPython import get_ipython
    from IPython.display import display

    cell = getattr(get_ipython(), "execution_count", 0)
    if cell not in _displays:
        _displays.clear()
        empty = {"text/html": "", "text/plain": ""}
        _displays[cell] = display(empty, raw=True, display_id=True)  # type: ignore[no-untyped-call]
    return _displays[cell]
