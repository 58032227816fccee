"""The scaling-law fit recovers the law of synthetic training results."""

import math
import sys
import tomllib
from itertools import product
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def law(monkeypatch):
    """benchmarks/scaling_law.py as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "scaling_law", raising=False)
    import scaling_law

    return scaling_law


def row(seen, floor, scale, power, error=0.0, pace=900.0, **network):
    return {
        **network,
        "seen": seen,
        "val_accuracy": 1 - floor - scale * (seen / 1000) ** -power + error,
        "images_per_second": pace,
        "setup_seconds": 1.5,
        "probe": 1000.0,
        "machine": "a CPU",
        "date": "2026-01-02",
    }


@pytest.mark.parametrize("power", [0.5, 0.9])
def test_a_known_law_is_recovered(law, power):
    laws = [(0.05, 3.0), (0.12, 1.0)]
    groups = [[row(seen, floor, scale, power) for seen in (45_000, 90_000, 180_000, 360_000)] for floor, scale in laws]

    assert law.fit_power(groups) == pytest.approx(power, rel=1e-3)
    for group, (floor, scale) in zip(groups, laws, strict=True):
        (fitted_floor, fitted_scale), misses = law.fit(group, power)
        assert (fitted_floor, fitted_scale) == pytest.approx((floor, scale * 1000**power), rel=1e-6)
        assert max(map(abs, misses)) < 1e-9


def test_the_written_law_has_every_network_and_spreads_of_two_standard_deviations(law):
    rows = []
    for stem, widths, _ in law.TRAININGS:
        for number, seen in product(range(50), (45_000, 90_000, 180_000, 360_000)):
            error = 0.004 * (-1) ** number
            pace = 900.0 * 1.05 ** (-(number % 3) + 1)
            rows.append(row(seen, 0.05, 3.0, 0.9, error, pace, stem_stride=stem, channels=list(widths)))
    written = tomllib.loads(law.law(rows))

    assert [(rung["stem_stride"], tuple(rung["channels"])) for rung in written["candidate"]] == [
        (s, w) for s, w, _ in law.TRAININGS
    ]
    assert {rung["efficiency"] for rung in written["candidate"]} == {0.9}
    assert written["spread"] == pytest.approx(0.008, rel=0.1)
    assert written["log_speed_spread"] == pytest.approx(2 * math.log(1.05) * math.sqrt(2 / 3), rel=0.05)
    assert written["setup_seconds"] == 1.5


def test_results_at_other_learning_rates_are_ignored(law, monkeypatch):
    stem, widths, _ = law.TRAININGS[0]
    first_day = [{"stem_stride": stem, "channels": list(widths), "epochs": epochs, "seed": 0} for epochs in (1, 8)]
    now = {**first_day[0], "seed": 1, "learning_rate": law.rate(1)}
    monkeypatch.setattr(law, "read", lambda name: [*first_day, now])

    assert law.valid() == [first_day[1], now]
    assert (stem, widths, 1, 0) in law.missing([0, 1])
    assert (stem, widths, 1, 1) not in law.missing([0, 1])
