"""Forecasts of an audit: minutes before each section, from its estimate and the time of those that are done."""

import pytest

from tinysight._util.progress import SilentProgress
from tinysight.auditing import context as contexts
from tinysight.auditing.audit import audit
from tinysight.auditing.context import AuditContext
from tinysight.auditing.forecast import SectionForecast, duration
from tinysight.auditing.section import AuditSection
from tinysight.auditing.sections.corruption_robustness import CorruptionRobustness
from tinysight.auditing.sections.near_duplicates import NearDuplicateSection
from tinysight.runs.run import Run


class Clock:
    """A clock that only `seconds` moves, and every reading by `step`."""

    def __init__(self, step=0.0):
        self.seconds, self.step = 0.0, step

    def __call__(self):
        self.seconds += self.step
        return self.seconds


class Section(AuditSection[int]):
    """A section that says how long it takes."""

    name = heading = "section"

    def __init__(self, seconds):
        self.estimate = seconds

    def estimate_seconds(self, context, prediction_seconds):
        return self.estimate

    compute = summarize = rows = None


class Notes(SilentProgress):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.fixture(scope="module")
def context(trained):
    return AuditContext.from_run(Run(trained))


def test_first_forecast_is_the_estimate_of_the_section(context):
    assert SectionForecast(context, Clock()).seconds(Section(90)) == 90


def test_later_forecasts_are_corrected_by_measured_times(context):
    clock = Clock()
    forecast = SectionForecast(context, clock)
    for estimate, seconds in ((10, 25), (30, 95)):
        with forecast.measured(Section(estimate)):
            clock.seconds += seconds
    assert forecast.seconds(Section(60)) == 60 * (25 + 95) / (10 + 30)


def test_times_of_short_sections_and_of_those_without_estimate_say_nothing(context):
    clock = Clock()
    forecast = SectionForecast(context, clock)
    with forecast.measured(Section(0.1)):
        clock.seconds += 1
    with forecast.measured(Section(0)):
        clock.seconds += 100
    assert forecast.seconds(Section(60)) == 60


def test_estimates_grow_with_the_number_of_images_and_the_time_of_a_prediction(context):
    robustness = CorruptionRobustness()
    slow, fast = (robustness.estimate_seconds(context, seconds) for seconds in (1.0, 0.5))
    assert slow - fast == pytest.approx(0.5 * 75 * len(context.dataset.test))
    assert 0 < NearDuplicateSection().estimate_seconds(context, 1.0) < 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "less than a minute"), (59, "less than a minute"), (60, "about 1 minute"), (600, "about 10 minutes")],
)
def test_duration_is_in_minutes(seconds, words):
    assert duration(seconds) == words


def test_audit_notes_the_minutes_before_each_section(finished_run, monkeypatch):
    monkeypatch.setattr(contexts, "MAX_PROBED", 4)
    progress = Notes()
    results = audit(Run(finished_run), minutes=0, progress=progress, clock=Clock(step=60.0))
    forecasts = [note for note in progress.notes if note.startswith("audit: ")]
    assert len(forecasts) == len(results.sections)
    # A prediction of 30 images takes 60 s by this clock: 4 images in 75 ways take 10 minutes.
    assert "audit: corruption robustness, about 10 minutes" in forecasts
    assert "audit: image quality, less than a minute" in forecasts
