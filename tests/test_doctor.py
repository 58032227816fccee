"""Results of the diagnostics, with advice for each problem."""

from __future__ import annotations

import shutil
import sys
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest

from tinysight import doctor
from tinysight._util import hardware, optional_deps
from tinysight.data.sources import cifar10


@pytest.fixture(autouse=True)
def isolated_folders(tmp_path, monkeypatch):
    """Isolate the checks from this machine's cache and images."""
    monkeypatch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TINYSIGHT_DATA_DIR", str(tmp_path / "nothing"))


def _find(name: str, section: str, data_dir: Path | None = None) -> doctor.CheckResult:
    [result] = [item for item in doctor.run_checks(data_dir) if (item.section, item.name) == (section, name)]
    return result


def test_exactly_the_problems_have_advice():
    for result in doctor.run_checks():
        assert bool(result.advice) == (result.severity != "ok"), result
        assert result.value


def test_versions_match_the_installed_packages():
    assert _find("torch", "versions").value == metadata.version("torch")
    assert _find("numpy", "versions").severity == "ok"


def test_a_missing_package_has_an_install_command(monkeypatch):
    monkeypatch.setattr(optional_deps, "version", lambda name: None if name == "rich" else "1.0")
    assert _find("rich", "versions") == doctor.CheckResult(
        "versions", "rich", "not installed", "error", "pip install rich"
    )


def test_an_incomplete_extra_lists_the_missing_packages(monkeypatch):
    monkeypatch.setattr(optional_deps, "requirements", lambda: {"": ["torch"], "keras": ["keras", "h5py"]})
    monkeypatch.setattr(optional_deps, "version", lambda name: "2.0")
    assert _find("keras", "extras").value == "keras 2.0, h5py 2.0"
    monkeypatch.setattr(optional_deps, "version", lambda name: None if name == "h5py" else "2.0")
    result = _find("keras", "extras")
    assert (result.value, result.severity) == ("missing: h5py", "note")
    assert "pip install 'tinysight[keras]'" in result.advice


def test_requirements_are_grouped_by_extra(monkeypatch):
    lines = ["torch>=2.10", "scikit-learn>=1.6", 'keras>=3.13.1; extra == "keras"', "h5py; extra == 'keras'"]
    monkeypatch.setattr(metadata, "requires", lambda name: lines)
    assert optional_deps.requirements() == {"": ["torch", "scikit-learn"], "keras": ["keras", "h5py"]}


def test_the_checks_run_without_an_installed_package(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    monkeypatch.setattr(metadata, "version", absent)
    assert _find("tinysight", "versions").value == "not installed"


def test_a_failing_torch_import_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    broken = [result for result in doctor.run_checks() if result.value.startswith("does not load")]
    assert [result.severity for result in broken] == ["error"]


def test_features_have_readable_names(monkeypatch):
    monkeypatch.setattr(hardware, "processor_features", lambda facts=None: frozenset({"avx2", "avx512_bf16"}))
    assert _find("features", "processor").value == "AVX2, AVX-512 BF16"
    monkeypatch.setattr(hardware, "processor_features", lambda facts=None: frozenset())
    assert _find("features", "processor").value.startswith("none of AVX2")


def test_a_thread_count_other_than_the_cores_is_a_note(monkeypatch):
    monkeypatch.setattr(hardware, "usable_cores", lambda: 4096)
    result = _find("torch", "threads")
    assert result.severity == "note"
    assert "OMP_NUM_THREADS=4096" in result.advice


def test_low_memory_is_an_error(monkeypatch):
    monkeypatch.setattr(hardware, "usable_memory", lambda: 500_000_000)
    result = _find("usable", "memory")
    assert (result.value, result.severity) == ("0.5 GB", "error")


def test_the_cache_size_is_reported(tmp_path):
    folder = tmp_path / "cache" / "folders"
    folder.mkdir(parents=True)
    with (folder / "pixels").open("wb") as file:
        file.truncate(300_000_000)
    result = _find("folder", "cache")
    assert result.value == f"{tmp_path / 'cache'}, 0.3 GB"


def test_an_unwritable_cache_is_an_error(monkeypatch):
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    result = _find("folder", "cache")
    assert result.severity == "error"
    assert "TINYSIGHT_CACHE_DIR" in result.advice


def test_a_full_disk_is_an_error(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 0))
    assert _find("free disk", "cache").severity == "error"


def test_missing_cifar10_has_download_advice(tmp_path):
    result = _find("CIFAR-10", "data", tmp_path)
    assert result.value == f"not in {tmp_path}"
    assert "tinysight data download" in result.advice


def test_the_location_of_cifar10_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "find", lambda data_dir: cifar10.Location("binary", tmp_path))
    assert _find("CIFAR-10", "data").value == f"{tmp_path} (binary)"
