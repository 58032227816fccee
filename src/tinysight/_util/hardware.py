"""Processor features, usable cores and memory, without importing torch.

Limits of containers are those of control groups v2. Tests pass the text of a source instead.
"""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path
from typing import TypedDict

from tinysight._util import platform as systems

# Features that affect the training speed, under their Linux names; `bf16` is Arm's.
FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "bf16")
# Without Arm's bf16: its speed in torch is not measured.
_NATIVE_BF16 = frozenset({"avx512_bf16", "amx_bf16"})
_CONTROL_GROUP = Path("/sys/fs/cgroup")


class HardwareInfo(TypedDict):
    """Hardware and Python version; memory is in bytes."""

    system: str
    processor: str
    features: list[str]
    cores: int
    memory: int
    python: str


def hardware_info() -> HardwareInfo:
    """Return the hardware and the Python version, to record beside timings."""
    return {
        "system": platform.platform(),
        "processor": processor_name(),
        "features": sorted(processor_features()),
        "cores": usable_cores(),
        "memory": usable_memory(),
        "python": platform.python_version(),
    }


def processor_name(cpuinfo: str | None = None) -> str:
    """Return the model name of the processor, or its architecture if there is none.

    Args:
        cpuinfo: content of /proc/cpuinfo, or output of `sysctl`; default: this machine's.
    """
    for key, value in _entries(cpuinfo):
        if key in ("model name", "machdep.cpu.brand_string"):
            return value
    return platform.machine()


@functools.cache
def processor_features(cpuinfo: str | None = None) -> frozenset[str]:
    """Return the members of FEATURES that the processor supports.

    Args:
        cpuinfo: as for `processor_name`.
    """
    names: set[str] = set()
    for key, value in _entries(cpuinfo):
        if key in ("flags", "Features"):  # x86 and Arm on Linux
            names.update(value.split())
        elif key.startswith("hw.optional.") and value == "1":  # macOS: hw.optional.avx2_0, .arm.FEAT_BF16
            names.add(key.rpartition(".")[2].lower().removeprefix("feat_").removesuffix("_0"))
    return frozenset(FEATURES) & names


def native_bf16(cpuinfo: str | None = None) -> bool:
    """Return whether the processor has bfloat16 instructions; without them torch emulates bfloat16 slowly.

    Args:
        cpuinfo: as for `processor_name`.
    """
    return bool(processor_features(cpuinfo) & _NATIVE_BF16)


def usable_cores(quota: str | None = None) -> int:
    """Return the number of cores this process may use: its CPU affinity, limited by the container's quota.

    Args:
        quota: content of the control group's cpu.max, such as "150000 100000" for 1.5 cores; default: this machine's.
    """
    affinity = systems.cpu_affinity()
    share, _, period = (_control_group("cpu.max") if quota is None else quota).partition(" ")
    if share.isdigit():
        return max(1, min(affinity, int(share) // int(period)))
    return affinity


def limit_threads() -> None:
    """Limit torch's threads to the container's CPU quota; call it before importing torch.

    torch ignores the quota, and too many threads slow it down several times (docs/experiments/cpu-contention.md).
    An existing OMP_NUM_THREADS is kept.
    """
    if usable_cores() < systems.cpu_affinity():
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))


def usable_memory(limit: str | None = None) -> int:
    """Return the bytes of memory this process may use: the installed memory, limited by the container.

    Args:
        limit: content of the control group's memory.max, in bytes or "max"; default: this machine's.
    """
    installed = systems.installed_memory()
    limit = _control_group("memory.max") if limit is None else limit
    return min(installed, int(limit)) if limit.strip().isdigit() else installed


def _entries(facts: str | None) -> list[tuple[str, str]]:
    lines = (_processor_facts() if facts is None else facts).splitlines()
    return [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]


_processor_facts = functools.cache(systems.processor_facts)


def _control_group(name: str) -> str:
    try:
        return (_CONTROL_GROUP / name).read_text(encoding="utf-8")
    except OSError:
        return ""
