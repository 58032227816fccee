"""The weights of four reference trainings equal those recorded before the code was refactored."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def reproducibility(monkeypatch):
    """benchmarks/reproducibility.py as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "reproducibility", raising=False)
    import reproducibility

    return reproducibility


@pytest.mark.slow
def test_weights_equal_the_recorded_ones(reproducibility):
    """Weights depend on the processor and the library versions, so only rows of this environment apply."""
    from common import read, stamp

    here = {key: stamp()[key] for key in ("machine", "versions")}
    rows = [
        row for row in read("reproducibility") if row["data"] == reproducibility.SMALL and here.items() <= row.items()
    ]
    if not rows:
        pytest.skip(f"no checksums for {here}; record some with benchmarks/reproducibility.py --small")
    assert reproducibility.train_all(reproducibility.SMALL) == rows[0]["checksums"]
