"""The weights of four reference trainings equal those recorded before the code was refactored."""

import sys
from pathlib import Path
from signal import SIGINT, raise_signal

import pytest

from tinysight.runs.run import Run
from tinysight.training.trainer import Trainer

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def reproducibility(monkeypatch):
    """benchmarks/reproducibility.py as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "reproducibility", raising=False)
    import reproducibility

    return reproducibility


@pytest.fixture
def train(tinysight):
    """Return a function that runs `tinysight` in this process, on one thread."""

    def train(*arguments):
        outcome = tinysight(*arguments)
        assert outcome.code == 0, outcome.err

    return train


@pytest.fixture
def interrupt(tinysight, monkeypatch):
    """Return a function that runs `tinysight` and sends Ctrl-C after the first epoch."""

    def interrupt(run, *arguments):
        with monkeypatch.context() as patch:
            end_epoch = Trainer.end_epoch
            patch.setattr(Trainer, "end_epoch", lambda trainer: (end_epoch(trainer), raise_signal(SIGINT))[0])
            assert tinysight(*arguments).code == 1
        assert len(Run(run).history()) == 1

    return interrupt


@pytest.mark.slow
def test_weights_equal_the_recorded_ones(reproducibility, train, interrupt):
    """Weights depend on the processor and the library versions, so only rows of this environment apply."""
    from common import read, stamp

    here = {key: stamp()[key] for key in ("machine", "versions")}
    rows = [
        row for row in read("reproducibility") if row["data"] == reproducibility.SMALL and here.items() <= row.items()
    ]
    if not rows:
        pytest.skip(f"no checksums for {here}; record some with benchmarks/reproducibility.py --small")
    assert reproducibility.train_all(reproducibility.SMALL, train, interrupt) == rows[0]["checksums"]
