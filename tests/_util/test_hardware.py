"""Parsing of processor descriptions and container limits."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

from tinysight._util import hardware

AMD = """\
processor\t: 0
model name\t: AMD EPYC 9R14
flags\t\t: fpu sse sse2 avx avx2 avx512f avx512_bf16 avx512_vnni

processor\t: 1
model name\t: AMD EPYC 9R14
flags\t\t: fpu sse sse2 avx avx2 avx512f avx512_bf16 avx512_vnni
"""
XEON = "model name : Intel Xeon 8488C\nflags : avx2 avx512f avx512_bf16 amx_bf16 amx_tile amx_int8\n"
OLD = "model name\t: Intel Core i7-8550U\nflags\t\t: sse2 avx avx2\nvmx flags\t: avx512_bf16\n"
GRAVITON = "processor : 0\nFeatures : fp asimd sve i8mm bf16\nCPU part : 0xd40\n"
APPLE = "machdep.cpu.brand_string: Apple M2\nhw.optional.arm.FEAT_BF16: 1\nhw.optional.avx2_0: 0\n"
INTEL_MAC = "machdep.cpu.brand_string: Intel Core i9\nhw.optional.avx2_0: 1\nhw.optional.avx512f: 1\n"


@pytest.mark.parametrize(
    ("facts", "features", "native"),
    [
        (AMD, {"avx2", "avx512f", "avx512_bf16"}, True),
        (XEON, {"avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16"}, True),
        (OLD, {"avx2"}, False),
        (GRAVITON, {"bf16"}, False),
        (APPLE, {"bf16"}, False),
        (INTEL_MAC, {"avx2", "avx512f"}, False),
        ("", set(), False),
    ],
    ids=["amd", "xeon", "old", "graviton", "apple", "intel mac", "silent"],
)
def test_features_are_parsed_on_every_system(facts, features, native):
    assert hardware.processor_features(facts) == features
    assert hardware.native_bf16(facts) is native


def test_the_processor_name_is_parsed_on_every_system():
    names = [hardware.processor_name(facts) for facts in (AMD, APPLE)]
    assert names == ["AMD EPYC 9R14", "Apple M2"]


def test_a_processor_without_a_name_is_named_by_its_architecture():
    assert hardware.processor_name(GRAVITON) == platform.machine()


@pytest.mark.parametrize("quota", ["100000 100000\n", "50000 100000", "150000 100000"])
def test_a_quota_below_two_cores_is_one_core(quota):
    assert hardware.usable_cores(quota) == 1


def test_without_a_quota_the_cpu_affinity_counts():
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for quota in ("max 100000\n", "", "99900000 100000"):
        assert hardware.usable_cores(quota) == affinity


def test_a_memory_limit_below_the_installed_memory_counts():
    assert hardware.usable_memory("1000000\n") == 1_000_000
    installed = hardware.usable_memory("max\n")
    assert hardware.usable_memory(str(installed * 2)) == hardware.usable_memory("") == installed


def test_the_description_is_json():
    description = hardware.hardware_info()
    assert json.loads(json.dumps(description)) == description
    assert set(description["features"]) <= set(hardware.FEATURES)
    assert description["cores"] >= 1


def test_hardware_info_does_not_import_torch():
    imports = "import sys; from tinysight._util.hardware import hardware_info"
    program = f"{imports}; hardware_info(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize(
    ("quota", "environment", "expected"),
    [("100000 100000", {}, "1"), ("max 100000", {}, None), ("100000 100000", {"OMP_NUM_THREADS": "3"}, "3")],
)
def test_threads_are_limited_to_the_quota_unless_the_user_set_them(monkeypatch, tmp_path, quota, environment, expected):
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(hardware, "_CONTROL_GROUP", tmp_path)
    monkeypatch.setattr("tinysight._util.platform.cpu_affinity", lambda: 8)
    monkeypatch.setattr(os, "environ", environment)

    hardware.limit_threads()

    assert environment.get("OMP_NUM_THREADS") == expected
