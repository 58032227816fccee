import time

import pytest

from tinysight.training.clock import Clock


@pytest.fixture
def now(monkeypatch):
    """A clock on the wall that the test sets."""

    class Wall:
        time = 100.0

    monkeypatch.setattr(time, "perf_counter", lambda: Wall.time)
    return Wall


def test_without_a_limit_steps_count(now):
    clock = Clock(steps=8)
    now.time += 1000

    assert [clock.progress(done) for done in (0, 2, 8, 9)] == [0, 0.25, 1, 1]


def test_with_a_limit_time_counts_and_steps_do_not(now):
    clock = Clock(steps=8, limit=60)
    found = []
    for passed in (0, 15, 30, 30):
        now.time += passed
        found.append(clock.progress(steps_done=8))

    assert found == [0, 0.25, 0.75, 1]


def test_earlier_sittings_count(now):
    clock = Clock(steps=8, limit=60, before=30)
    now.time += 15

    assert (clock.seconds(), clock.progress(0)) == (45, 0.75)


def test_what_follows_the_last_step_is_kept_free_and_grows_as_the_machine_slows_down(now):
    clock = Clock(steps=8, limit=60, closing=10, look=2)
    now.time += 25
    assert clock.progress(0) == 0.5
    clock.looked(4)

    assert (clock.closing, clock.progress(0)) == (20, 0.625)


def test_a_clock_goes_on_from_the_state_of_another(now):
    clock = Clock(steps=8, limit=60, closing=10, look=2)
    now.time += 25
    state = clock.state()
    now.time += 1000

    assert Clock(steps=8, **state).progress(0) == 0.5
