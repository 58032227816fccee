"""Forecast of the time that each section of an audit takes, corrected by the time of those that are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from tinysight.auditing.context import AuditContext
from tinysight.auditing.section import AuditSection

_MIN_MEASURED = 2.0  # seconds of sections that are done, before their time says how fast this machine is


class SectionForecast:
    """Forecasts sections of one audit: their own estimates, times the measured seconds per estimated second so far."""

    def __init__(self, context: AuditContext, clock: Callable[[], float]) -> None:
        """Prepare a forecast; `clock` returns seconds, like `time.perf_counter`."""
        self._context, self._clock = context, clock
        self._estimated = self._measured = 0.0

    def seconds(self, section: AuditSection[Any]) -> float:
        """Return about how many seconds a section will take."""
        ratio = self._measured / self._estimated if self._estimated and self._measured >= _MIN_MEASURED else 1.0
        return ratio * section.estimate_seconds(self._context, self._prediction_seconds)

    @contextmanager
    def measured(self, section: AuditSection[Any]) -> Iterator[None]:
        """Measure the block, which computes a section."""
        estimate = section.estimate_seconds(self._context, self._prediction_seconds)
        start = self._clock()
        yield
        if estimate:
            self._estimated, self._measured = self._estimated + estimate, self._measured + self._clock() - start

    @cached_property
    def _prediction_seconds(self) -> float:
        """Seconds per predicted image, measured on the test images, whose predictions the sections share."""
        start = self._clock()
        n = len(self._context.predicted)
        return (self._clock() - start) / n


def duration(seconds: float) -> str:
    """Return a forecast of some seconds in words.

    >>> duration(20), duration(100), duration(3700)
    ('less than a minute', 'about 2 minutes', 'about 62 minutes')
    """
    return "less than a minute" if seconds < 60 else f"about {seconds / 60:,.0f} minute{'s' if seconds >= 90 else ''}"
