"""The live bar in a notebook: HTML that is drawn anew, for which nothing need be installed beside Jupyter."""

from __future__ import annotations

import time
from collections.abc import Mapping
from html import escape
from typing import Any

from tinysight.screen.bar import told

_EVERY = 0.2  # seconds between two drawings

_shown: dict[int, Any] = {}  # where the bar of a cell is, by the number of its execution


class NotebookBar:
    """A bar for one task, which vanishes when it is stopped; a cell has one place for all of its bars."""

    def __init__(self, task: str, total: int, unit: str) -> None:
        self._task, self._total, self._unit = task, total, unit
        self._done, self._begun, self._drawn = 0, time.monotonic(), 0.0
        self._place = _place()
        self._draw({})

    def advance(self, amount: int, figures: Mapping[str, float]) -> None:
        """Move it."""
        self._done += amount
        if time.monotonic() - self._drawn > _EVERY:
            self._draw(figures)

    def stop(self) -> None:
        """Take it away."""
        self._place.update({"text/html": "", "text/plain": ""}, raw=True)

    def _draw(self, figures: Mapping[str, float]) -> None:
        self._drawn = time.monotonic()
        speed = self._done / max(self._drawn - self._begun, 1e-9)
        left = (self._total - self._done) / speed if self._total and self._done else None
        text = f"{self._task}  {told(speed, self._unit, figures, left)}"
        far = f'max="{self._total}" value="{self._done}"' if self._total else ""
        line = f'<div style="font-family: monospace; white-space: pre"><progress {far}></progress> {escape(text)}</div>'
        self._place.update({"text/html": line, "text/plain": text}, raw=True)


def _place() -> Any:
    """Return where the bars of this cell are drawn, above what it prints."""
    from IPython import get_ipython
    from IPython.display import display

    cell = getattr(get_ipython(), "execution_count", 0)
    if cell not in _shown:
        _shown.clear()
        nothing = {"text/html": "", "text/plain": ""}
        _shown[cell] = display(nothing, raw=True, display_id=True)  # type: ignore[no-untyped-call]
    return _shown[cell]
