import math
import time

import pytest

from tinysight._util.timing import Deadline, Stopwatch, perf_counter_at


class Clock:
    """A fake of `time.perf_counter` and `time.time`, which differ by a constant."""

    def __init__(self):
        self.now = 1000.0

    def wall(self):
        return self.now + 5_000_000.0


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(time, "time", clock.wall)
    return clock


def test_a_deadline_counts_from_its_start(clock):
    deadline = Deadline.after(2, start=980.0)
    clock.now += 40

    assert (deadline.elapsed(), deadline.remaining(), deadline.has_limit) == (60, 60, True)
    assert deadline.allows(60)
    assert not deadline.allows(60.1)
    clock.now += 61
    assert deadline.passed
    assert deadline.remaining() == -1


def test_a_deadline_starts_now_by_default(clock):
    deadline = Deadline.after(1)
    clock.now += 59
    assert not deadline.passed
    clock.now += 2
    assert deadline.passed


def test_without_minutes_there_is_no_limit(clock):
    deadline = Deadline.after(None)
    clock.now += 1e9

    assert not deadline.has_limit
    assert not deadline.passed
    assert deadline.remaining() == math.inf
    assert deadline.allows(1e12)
    assert deadline == Deadline(1000.0)


def test_a_deadline_crosses_processes_by_the_wall_clock(clock):
    sent = Deadline.after(1)
    wall_end = sent.wall_end
    clock.now += 45

    received = Deadline.at_wall_time(wall_end)

    assert received.remaining() == sent.remaining() == 15
    assert perf_counter_at(clock.wall() - 7) == clock.now - 7


def test_a_part_and_an_earlier_deadline_share_the_start(clock):
    deadline = Deadline(900.0, 200.0)

    assert deadline.part(0.7) == Deadline(900.0, 140.0)
    assert deadline.earlier(6.0) == Deadline(900.0, 194.0)


def test_a_stopwatch_sums_laps_over_sessions(clock):
    first = Stopwatch()
    for seconds in (3, 4):
        with first.lap("validation"):
            clock.now += seconds
        clock.now += 10
    assert first.state() == {"total": 27, "validation": 7}
    assert first.latest == {"validation": 4}

    second = Stopwatch()
    second.add(**first.state())
    with second.lap("validation"):
        clock.now += 2
    clock.now += 1

    assert (second.total(), second.total(without="validation"), second.total(without="save")) == (30, 21, 30)
    assert second.laps == {"validation": 9}


def test_the_seconds_since_a_lap_start_with_the_session(clock):
    stopwatch = Stopwatch()
    stopwatch.add(500, save=3)
    clock.now += 5
    assert stopwatch.since("save") == 5
    with stopwatch.lap("save"):
        clock.now += 1
    clock.now += 2
    assert stopwatch.since("save") == 2


def test_a_failed_lap_does_not_count(clock):
    stopwatch = Stopwatch()

    def fail():
        with stopwatch.lap("save"):
            clock.now += 1
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        fail()
    assert stopwatch.laps == {}
    assert stopwatch.since("save") == 1
