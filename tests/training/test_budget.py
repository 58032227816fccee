import time

import pytest

from tinysight.training.budget import TimeBudget


@pytest.fixture
def now(monkeypatch):
    """A fake `time.perf_counter` that the test sets."""

    class FakeTime:
        time = 100.0

    monkeypatch.setattr(time, "perf_counter", lambda: FakeTime.time)
    return FakeTime


def test_without_a_limit_progress_follows_the_steps(now):
    clock = TimeBudget(steps=8)
    now.time += 1000

    assert [clock.progress(done) for done in (0, 2, 8, 9)] == [0, 0.25, 1, 1]


def test_with_a_limit_progress_follows_the_time(now):
    clock = TimeBudget(steps=8, limit_seconds=60)
    progress = []
    for elapsed in (0, 15, 30, 30):
        now.time += elapsed
        progress.append(clock.progress(steps_done=8))

    assert progress == [0, 0.25, 0.75, 1]


def test_earlier_sessions_count(now):
    clock = TimeBudget(steps=8, limit_seconds=60, previous_seconds=30)
    now.time += 15

    assert (clock.elapsed_seconds(), clock.progress(0)) == (45, 0.75)


def test_the_reserved_time_scales_with_the_validation_time(now):
    clock = TimeBudget(steps=8, limit_seconds=60, reserved_seconds=10, validation_seconds=2)
    now.time += 25
    assert clock.progress(0) == 0.5
    clock.record_validation(4)

    assert (clock.reserved_seconds, clock.progress(0)) == (20, 0.625)


def test_a_saved_state_is_restored(now):
    clock = TimeBudget(steps=8, limit_seconds=60, reserved_seconds=10, validation_seconds=2)
    now.time += 25
    state = clock.state()
    now.time += 1000

    assert TimeBudget(steps=8, **state).progress(0) == 0.5
