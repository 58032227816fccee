"""The law of docs/explanation/scale.md: the slowest part is the rate of the whole."""

import importlib
import sys
from pathlib import Path

import pytest


@pytest.fixture
def projection(monkeypatch):
    """benchmarks/projection.py as a module."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    yield importlib.import_module("projection")
    sys.modules.pop("projection")


@pytest.fixture
def rows():
    return {
        "complete pipeline: small": {"rates": [400.0, 500.0, 600.0], "bytes": 2000.0, "n": 3},
        "complete pipeline: large": {"rates": [500.0], "bytes": 1e8, "n": 1},
        "driver only: shards that take no time": {"rates": [400.0], "n": 1},
    }


@pytest.mark.parametrize(
    ("machines", "requested", "expected"),
    [
        (2, False, ("cores", 2000.0)),  # two machines of two cores, each half a thousand a second
        (1000, False, ("the driver", 400_000.0)),
        (16, True, ("requests to one prefix", 5500.0)),
    ],
)
def test_the_slowest_part_is_the_rate_of_the_whole(projection, rows, machines, requested, expected):
    part, rate = projection.slowest(projection.Way("small", requested), rows, machines)
    assert (part, rate) == (expected[0], pytest.approx(expected[1], rel=1e-3))


def test_large_pictures_wait_for_the_network_card(projection, rows):
    assert projection.slowest(projection.Way("large", requested=False), rows, 4)[0] == "network cards"


def test_training_on_machines_that_wait_for_gradients_is_slower_than_on_one(projection):
    row = {"rates": [1000.0], "gradients": 10_000_000, "batch": 500}
    assert projection.training_rate(row, 1, 1e9) == pytest.approx(2000.0)
    assert projection.training_rate(row, 2, 1e12) == pytest.approx(4000.0, rel=1e-3)
    assert projection.training_rate(row, 2, 1e7) == pytest.approx(500 / (0.125 + 1.0))


@pytest.mark.parametrize(
    ("seconds", "words"), [(40, "40 s"), (100, "100 s"), (720, "12 min"), (20_000, "5.56 h"), (2e6, "23.1 d")]
)
def test_durations_are_told_in_the_unit_that_suits_them(projection, seconds, words):
    assert projection.told_duration(seconds) == words
