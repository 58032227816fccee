"""What the doctor finds, and that every complaint comes with a next step."""

from __future__ import annotations

import shutil
import sys
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest

from tinysight import doctor, machine, packages
from tinysight.data import cifar10


@pytest.fixture(autouse=True)
def own_places(tmp_path, monkeypatch):
    """Keep this machine's cache and images out of the findings."""
    monkeypatch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TINYSIGHT_DATA_DIR", str(tmp_path / "nothing"))


def _find(name: str, section: str, data_dir: Path | None = None) -> doctor.Finding:
    [finding] = [found for found in doctor.examine(data_dir) if (found.section, found.name) == (section, name)]
    return finding


def test_there_is_advice_for_all_that_is_an_error_and_for_nothing_else():
    for finding in doctor.examine():
        assert bool(finding.advice) == (finding.verdict != "ok"), finding
        assert finding.value


def test_versions_are_those_installed():
    assert _find("torch", "versions").value == metadata.version("torch")
    assert _find("numpy", "versions").verdict == "ok"


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(packages, "version", lambda name: None if name == "rich" else "1.0")
    assert _find("rich", "versions") == doctor.Finding("versions", "rich", "not installed", "error", "pip install rich")


def test_an_extra_is_complete_or_says_what_it_lacks(monkeypatch):
    monkeypatch.setattr(packages, "requirements", lambda: {"": ["torch"], "keras": ["keras", "h5py"]})
    monkeypatch.setattr(packages, "version", lambda name: "2.0")
    assert _find("keras", "extras").value == "keras 2.0, h5py 2.0"
    monkeypatch.setattr(packages, "version", lambda name: None if name == "h5py" else "2.0")
    finding = _find("keras", "extras")
    assert (finding.value, finding.verdict) == ("without h5py", "note")
    assert "pip install -e '.[keras]'" in finding.advice


def test_requirements_are_sorted_by_extra(monkeypatch):
    lines = ["torch>=2.10", "scikit-learn>=1.6", 'keras>=3.13.1; extra == "keras"', "h5py; extra == 'keras'"]
    monkeypatch.setattr(metadata, "requires", lambda name: lines)
    assert packages.requirements() == {"": ["torch", "scikit-learn"], "keras": ["keras", "h5py"]}


def test_source_that_was_never_installed_still_gets_a_report(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    monkeypatch.setattr(metadata, "version", absent)
    assert _find("tinysight", "versions").value == "not installed"


def test_a_torch_that_does_not_load_is_a_finding_and_not_a_crash(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    broken = [finding for finding in doctor.examine() if finding.value.startswith("does not load")]
    assert [finding.verdict for finding in broken] == ["error"]


def test_features_have_readable_names(monkeypatch):
    monkeypatch.setattr(machine, "processor_features", lambda facts=None: frozenset({"avx2", "avx512_bf16"}))
    assert _find("features", "processor").value == "AVX2, AVX-512 BF16"
    monkeypatch.setattr(machine, "processor_features", lambda facts=None: frozenset())
    assert _find("features", "processor").value.startswith("none of AVX2")


def test_threads_that_do_not_fit_the_cores_are_noted(monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: 4096)
    finding = _find("torch", "threads")
    assert finding.verdict == "note"
    assert "OMP_NUM_THREADS=4096" in finding.advice


def test_too_little_memory_is_an_error(monkeypatch):
    monkeypatch.setattr(machine, "usable_memory", lambda: 500_000_000)
    finding = _find("usable", "memory")
    assert (finding.value, finding.verdict) == ("0.5 GB", "error")


def test_the_cache_is_weighed_wherever_it_is(tmp_path):
    held = tmp_path / "cache" / "folders"
    held.mkdir(parents=True)
    with (held / "pixels").open("wb") as file:
        file.truncate(300_000_000)
    finding = _find("folder", "cache")
    assert finding.value == f"{tmp_path / 'cache'}, 0.3 GB"


def test_a_cache_that_cannot_be_written_is_an_error(monkeypatch):
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    finding = _find("folder", "cache")
    assert finding.verdict == "error"
    assert "TINYSIGHT_CACHE_DIR" in finding.advice


def test_a_full_disk_is_an_error(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 0))
    assert _find("free disk", "cache").verdict == "error"


def test_cifar10_that_is_not_here_can_be_downloaded(tmp_path):
    finding = _find("CIFAR-10", "data", tmp_path)
    assert finding.value == f"not in {tmp_path}"
    assert "tinysight data download" in finding.advice


def test_cifar10_that_is_here_is_pointed_out(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "find", lambda data_dir: cifar10.Location("binary", tmp_path))
    assert _find("CIFAR-10", "data").value == f"{tmp_path} (binary)"
